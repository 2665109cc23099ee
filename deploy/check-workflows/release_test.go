package check

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

// cloned copies what .ci/release reads, so that it writes below a folder of the test's.
func cloned(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, path := range []string{".ci/release", "Cargo.toml", "CHANGELOG.md", "LICENSE", "deploy", "grafana", "prometheus"} {
		to := filepath.Join(folder, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("cp", "-R", filepath.Join("../..", path), to).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	return folder
}

func release(folder string, arguments ...string) (string, error) {
	command := exec.Command("bash", append([]string{filepath.Join(folder, ".ci/release")}, arguments...)...)
	output, err := command.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return string(failed.Stderr), err
	}
	return string(output), err
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func replaceIn(t *testing.T, file, old, new string) {
	t.Helper()
	text := readFile(t, file)
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func version(t *testing.T, folder string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^version = "(.+)"$`).FindStringSubmatch(readFile(t, folder+"/Cargo.toml"))
	if found == nil {
		t.Fatal("Cargo.toml has no version")
	}
	return found[1]
}

func TestATagThatDiffersFromWhatIsInTheTreeReleasesNothing(t *testing.T) {
	folder := cloned(t)
	tag := "v" + version(t, folder)
	if said, err := release(folder, "check", tag); err != nil {
		t.Fatalf("this tree's own version: %s", said)
	}
	for _, wrong := range []string{"v99.0.0", version(t, folder), "v1", "v0.1", tag + "-"} {
		if said, err := release(folder, "check", wrong); err == nil || !strings.Contains(said, wrong) {
			t.Errorf("tag %s: %s", wrong, said)
		}
	}
	chart := folder + "/deploy/helm/stock-lambda/Chart.yaml"
	replaceIn(t, chart, "appVersion: \""+version(t, folder), "appVersion: \"99.0.0")
	if said, err := release(folder, "check", tag); err == nil || !strings.Contains(said, "appVersion") {
		t.Errorf("another appVersion: %s", said)
	}
}

func TestTheNotesAreTheChangelogsSectionAndNoOther(t *testing.T) {
	folder := cloned(t)
	log := "# Changelog\n\n## [1.1.0] - unreleased\nnew\n\n### Parts\n- part\n\n## [1.0.0] - 2026-01-01\nold\n\n## [0.9.0]\n\n"
	if err := os.WriteFile(folder+"/CHANGELOG.md", []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for wanted, text := range map[string]string{"1.1.0": "new\n\n### Parts\n- part\n", "1.0.0": "old\n"} {
		if said, err := release(folder, "notes", wanted); err != nil || said != text {
			t.Errorf("%s: %q (%v)", wanted, said, err)
		}
	}
	for _, missing := range []string{"0.9.0", "2.0.0"} {
		if said, err := release(folder, "notes", missing); err == nil || !strings.Contains(said, missing) {
			t.Errorf("%s is not in the changelog: %q", missing, said)
		}
	}
}

func TestAReleasedChartHasItsImagesRunbooksAndFiles(t *testing.T) {
	folder := cloned(t)
	said, err := release(folder, "chart", "1.2.3", "ghcr.invalid/owner/stocks", "https://house.invalid/v1.2.3/operations.md")
	if err != nil {
		t.Fatal(said)
	}
	chart := filepath.Join(folder, strings.TrimSpace(said))
	for file, wanted := range map[string][]string{
		"Chart.yaml":  {"\nversion: 1.2.3\n", "\nappVersion: \"1.2.3\"\n"},
		"values.yaml": {"\n  registry: \"ghcr.invalid/owner/stocks\"\n", "\nrunbooks: \"https://house.invalid/v1.2.3/operations.md\"\n"},
	} {
		for _, part := range wanted {
			if text := readFile(t, filepath.Join(chart, file)); !strings.Contains(text, part) {
				t.Errorf("%s lacks %q", file, part)
			}
		}
	}
	for _, link := range []string{"rules/speed-layer.rules.yml", "dashboards/overview.json", "alerting/batch-layer.json"} {
		file, err := os.Lstat(filepath.Join(chart, "files", link))
		if err != nil || !file.Mode().IsRegular() {
			t.Errorf("%s is not in it as a file (%v)", link, err)
		}
	}
	// A value of that name that is not there any more would be filled in nowhere.
	replaceIn(t, folder+"/deploy/helm/stock-lambda/values.yaml", "\n  registry: \"\"\n", "\n  registries: \"\"\n")
	if said, err := release(folder, "chart", "1.2.3", "x", "https://x"); err == nil || !strings.Contains(said, "image.registry") {
		t.Errorf("without the value: %q", said)
	}
}

func TestTheArchiveHasTheProgramsAndIsTheSameEachTime(t *testing.T) {
	folder := cloned(t)
	programs := []string{"speed-layer", "batch-layer", "workbench"}
	for _, program := range programs {
		if err := os.WriteFile(filepath.Join(folder, program), []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var first []byte
	for range 2 {
		said, err := release(folder, "archive", "1.2.3", "arm64", folder)
		if err != nil || strings.TrimSpace(said) != "target/assets/stock-lambda-1.2.3-linux-arm64.tar.gz" {
			t.Fatalf("%q (%v)", said, err)
		}
		file := []byte(readFile(t, filepath.Join(folder, strings.TrimSpace(said))))
		if first != nil && !bytes.Equal(first, file) {
			t.Error("made again, it is another file")
		}
		first = file
	}
	modes := packed(t, first)
	for _, program := range programs {
		if modes["stock-lambda-1.2.3-linux-arm64/"+program] != 0o755 {
			t.Errorf("%s cannot be run: %o", program, modes["stock-lambda-1.2.3-linux-arm64/"+program])
		}
	}
	for _, file := range []string{"LICENSE", "systemd/speed-layer.service", "postgres/roles.sql", "cron/stocks-batch"} {
		if modes["stock-lambda-1.2.3-linux-arm64/"+file] != 0o644 {
			t.Errorf("%s is not in it for all to read: %v", file, modes)
		}
	}
}

// The files of an archive with their rights.
func packed(t *testing.T, content []byte) map[string]int64 {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	found, archive := map[string]int64{}, tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = header.Mode
	}
}

func parsed(t *testing.T, name string) *actionlint.Workflow {
	t.Helper()
	workflow, findings := actionlint.Parse([]byte(readFile(t, filepath.Join(folder, name))))
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return workflow
}

// The scripts of a workflow's jobs, one after the other.
func scripts(workflow *actionlint.Workflow) string {
	all := ""
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if run, ok := step.Exec.(*actionlint.ExecRun); ok {
				all += run.Run.Value + "\n"
			}
		}
	}
	return all
}

// An image that is built for the first time on a tag fails on a tag.
func TestEachChangeBuildsWhatATagBuildsAndPushesNothing(t *testing.T) {
	ci, tag := scripts(parsed(t, "ci.yml")), scripts(parsed(t, "release.yml"))
	for _, part := range []string{
		"for image in speed-layer batch-layer workbench; do", "--target binaries --output", "bash .ci/release archive",
		"bash .ci/release chart",
	} {
		if !strings.Contains(ci, part) || !strings.Contains(tag, part) {
			t.Errorf("not both of ci.yml and release.yml have %q", part)
		}
	}
	for _, push := range []string{"--push", "helm push", "docker push"} {
		if strings.Contains(ci, push) {
			t.Errorf("ci.yml has %q", push)
		}
	}
	dockerfile := readFile(t, "../../Dockerfile")
	for _, target := range []string{"speed-layer", "batch-layer", "workbench", "binaries"} {
		if !regexp.MustCompile(`(?m)^FROM .* AS ` + target + `$`).MatchString(dockerfile) {
			t.Errorf("the Dockerfile has no target %s", target)
		}
	}
}

// GitHub's registry refuses a name with capitals: the owner's spelling may have some.
func TestNoImageIsCalledAsTheOwnerIsSpelt(t *testing.T) {
	text := readFile(t, filepath.Join(folder, "release.yml"))
	if !strings.Contains(text, "images=$REGISTRY/${GITHUB_REPOSITORY,,}") {
		t.Error("nothing makes the names lower-case")
	}
	if strings.Contains(text, "github.repository") {
		t.Error("github.repository is as the owner is spelt")
	}
}

// Whatever is released can be traced to this workflow.
func TestImagesChartAndFilesAreSigned(t *testing.T) {
	script := scripts(parsed(t, "release.yml"))
	for _, part := range []string{
		`cosign sign --yes --recursive "$IMAGE@$digest"`, `cosign sign --yes "$IMAGES/charts/stock-lambda@$digest"`,
		"sha256sum -- * > SHA256SUMS\ncosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS",
	} {
		if !strings.Contains(script, part) {
			t.Errorf("release.yml lacks %q", part)
		}
	}
}

// One way to name a version: a major one, as each action's makers move it. Two versions of one action are none.
func TestActionsAreNamedByMajorVersionAndAllByTheSame(t *testing.T) {
	versions := map[string][]string{}
	for _, name := range []string{"ci.yml", "docs.yml", "release.yml"} {
		for _, job := range parsed(t, name).Jobs {
			for _, step := range job.Steps {
				action, ok := step.Exec.(*actionlint.ExecAction)
				if !ok {
					continue
				}
				used, version, _ := strings.Cut(action.Uses.Value, "@")
				if !regexp.MustCompile(`^v[0-9]+$`).MatchString(version) {
					t.Errorf("%s: %s is not a major version", name, action.Uses.Value)
				}
				if !slices.Contains(versions[used], version) {
					versions[used] = append(versions[used], version)
				}
			}
		}
	}
	for action, found := range versions {
		if len(found) > 1 {
			t.Errorf("%s is used as %v", action, found)
		}
	}
}

// Rust is of one version wherever something is built.
func TestTheToolchainIsTheDockerfiles(t *testing.T) {
	found := regexp.MustCompile(`ARG RUST_IMAGE=(rust:([0-9.]+)-\w+)`).FindStringSubmatch(readFile(t, "../../Dockerfile"))
	for _, name := range []string{"ci.yml", "docs.yml", "release.yml"} {
		text := readFile(t, filepath.Join(folder, name))
		for _, container := range regexp.MustCompile(`container: (\S+)`).FindAllStringSubmatch(text, -1) {
			if container[1] != found[1] {
				t.Errorf("%s builds in %s, the Dockerfile in %s", name, container[1], found[1])
			}
		}
		for _, installed := range regexp.MustCompile(`rustup (?:toolchain install|default) ([0-9.]+)`).FindAllStringSubmatch(text, -1) {
			if installed[1] != found[2] {
				t.Errorf("%s installs Rust %s, the Dockerfile's is %s", name, installed[1], found[2])
			}
		}
	}
}
