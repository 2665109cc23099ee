package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const workspace = "../.."

func textOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The folders and files that the build's context has, by the file's lines: all is left out, and
// these are not.
func inContext(t *testing.T) []string {
	var let []string
	for _, line := range strings.Split(textOf(t, workspace+"/.dockerignore"), "\n") {
		if path, isLet := strings.CutPrefix(strings.TrimSpace(line), "!"); isLet {
			let = append(let, path)
		}
	}
	return let
}

func isIn(context []string, path string) bool {
	return slices.ContainsFunc(context, func(let string) bool {
		return path == let || strings.HasPrefix(path, let+"/")
	})
}

func members(t *testing.T) []string {
	list := regexp.MustCompile(`(?s)members = \[(.*?)\]`).FindStringSubmatch(textOf(t, workspace+"/Cargo.toml"))
	if list == nil {
		t.Fatal("the workspace lists no members")
	}
	var names []string
	for _, name := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list[1], -1) {
		names = append(names, name[1])
	}
	return names
}

// What the Dockerfile copies from the context, and where to.
func copies(t *testing.T) [][2]string {
	var all [][2]string
	for _, line := range strings.Split(textOf(t, workspace+"/Dockerfile"), "\n") {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" || strings.HasPrefix(words[1], "--from") {
			continue
		}
		to := words[len(words)-1]
		for _, from := range words[1 : len(words)-1] {
			all = append(all, [2]string{from, to})
		}
	}
	return all
}

func TestTheBuildsContextHasWhatTheDockerfileCopiesAndEachCrate(t *testing.T) {
	context := inContext(t)
	for _, copy := range copies(t) {
		if copy[0] != "." && !isIn(context, copy[0]) {
			t.Errorf("the Dockerfile copies %s, which .dockerignore leaves out", copy[0])
		}
	}
	for _, crate := range members(t) {
		if !isIn(context, crate) {
			t.Errorf(".dockerignore leaves out the crate %s", crate)
		}
	}
}

// Whatever a source of the crates takes into the binary must be there, too.
func TestTheBuildsContextHasWhatTheSourcesInclude(t *testing.T) {
	context := inContext(t)
	including := regexp.MustCompile(`include_str!\(\s*"([^"]+)"|migrate!\("([^"]+)"\)|concat!\("([^"]+)", \$`)
	for _, crate := range []string{"anomalies", "common", "service", "speed-layer", "hourly", "reconciliation", "batch-layer", "workbench"} {
		err := filepath.WalkDir(filepath.Join(workspace, crate, "src"), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".rs" {
				return err
			}
			product, _, hasTests := strings.Cut(textOf(t, path), "#[cfg(test)]\nmod tests {")
			if !hasTests && strings.Contains(product, "#[test]") {
				// A module of tests alone.
				return nil
			}
			for _, found := range including.FindAllStringSubmatch(product, -1) {
				file := filepath.Join(filepath.Dir(path), found[1]+found[3])
				if found[2] != "" {
					file = filepath.Join(workspace, crate, found[2])
				}
				below, err := filepath.Rel(workspace, file)
				if err != nil {
					return err
				}
				if !isIn(context, below) {
					t.Errorf("%s includes %s, which .dockerignore leaves out", path, below)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The layer of dependencies: manifests with stand-ins for the sources. Cargo refuses all where one
// names a file that is not there.
func TestCargoTakesTheManifestsThatTheDockerfileCopiesFirst(t *testing.T) {
	folder := t.TempDir()
	for _, copy := range copies(t) {
		from, to := copy[0], filepath.Join(folder, copy[1])
		if !strings.HasSuffix(from, "Cargo.toml") && from != "Cargo.lock" {
			continue
		}
		text := []byte(textOf(t, filepath.Join(workspace, from)))
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(from)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The commands of that layer, up to the build.
	file := textOf(t, workspace+"/Dockerfile")
	start := strings.Index(file, "RUN for crate in")
	end := strings.Index(file[start:], "&& cargo build")
	if start < 0 || end < 0 {
		t.Fatal("the Dockerfile makes no stand-ins")
	}
	script := strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(file[start:start+end], "RUN ")), "\\")
	run := func(name string, arguments ...string) {
		command := exec.Command(name, arguments...)
		command.Dir = folder
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, said)
		}
	}
	run("sh", "-ec", script)
	run("cargo", "metadata", "--offline", "--no-deps", "--format-version", "1")
}
