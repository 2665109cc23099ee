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
	said, err := release(folder, "chart", "1.2.3", "ghcr.invalid/owner/stocks", "https://house.invalid/stocks/blob/v1.2.3/docs/operations.md")
	if err != nil {
		t.Fatal(said)
	}
	chart := filepath.Join(folder, strings.TrimSpace(said))
	for file, wanted := range map[string][]string{
		"Chart.yaml":  {"\nversion: 1.2.3\n", "\nappVersion: \"1.2.3\"\n", "\nhome: https://house.invalid/stocks\n", "\nsources: [\"https://house.invalid/stocks\"]\n", "\nmaintainers: "},
		"README.md":   {"# stock-lambda\n"},
		"values.yaml": {"\n  registry: \"ghcr.invalid/owner/stocks\"\n", "\nrunbooks: \"https://house.invalid/stocks/blob/v1.2.3/docs/operations.md\"\n"},
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
		said, err := release(folder, "archive", "1.2.3", "arm64", folder, "https://house.invalid/v1.2.3/operations.md")
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
	for _, file := range []string{
		"LICENSE", "systemd/speed-layer.service", "postgres/roles.sql", "cron/stocks-batch", "prometheus/rules/speed-layer.rules.yml",
		"grafana/dashboards/overview.json", "grafana/provisioning/alerting/batch-layer.json",
	} {
		if modes["stock-lambda-1.2.3-linux-arm64/"+file] != 0o644 {
			t.Errorf("%s is not in it for all to read: %v", file, modes)
		}
	}
}

// Nobody who installs from the archive has docs/ beside it.
func TestAlertsOfTheArchiveLeadToTheirRunbooks(t *testing.T) {
	folder := cloned(t)
	for _, program := range []string{"speed-layer", "batch-layer", "workbench"} {
		if err := os.WriteFile(filepath.Join(folder, program), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const address = "https://house.invalid/v1.2.3/operations.md"
	if said, err := release(folder, "archive", "1.2.3", "amd64", folder, address); err != nil {
		t.Fatal(said)
	}
	packed := filepath.Join(folder, "target/release-archive/stock-lambda-1.2.3-linux-amd64")
	for _, file := range []string{"prometheus/rules/speed-layer.rules.yml", "prometheus/rules/archive-sink.rules.yml", "grafana/provisioning/alerting/batch-layer.json"} {
		before, after := readFile(t, "../../"+file), readFile(t, filepath.Join(packed, file))
		names := strings.Count(before, "docs/operations.md#")
		if names < 5 || strings.Count(after, address+"#") != names || strings.Contains(after, "docs/operations.md#") {
			t.Errorf("%s: %d of %d alerts have an address", file, strings.Count(after, address+"#"), names)
		}
	}
}

// SBOMs are made by a program whose crates nobody here has looked at, on the runner: what it leaves
// behind by the name of an archive would be signed as one.
func TestNoJobOfAReleaseCanHandOnAnothersFiles(t *testing.T) {
	const archive, other = "stock-lambda-1.2.3-linux-amd64.tar.gz", "stock-lambda-1.2.3-linux-arm64.tar.gz"
	good := []string{"amd64/" + archive, "arm64/" + other, "sboms/speed-layer.cdx.json", "sboms/batch-layer.cdx.json"}
	for name, known := range map[string]struct {
		files []string
		says  string
	}{
		"all":                    {good, ""},
		"an archive of sboms'":   {append(slices.Clone(good), "sboms/"+archive), "sboms has handed on"},
		"a folder":               {append(slices.Clone(good), "sboms/more/x.cdx.json"), "sboms has handed on"},
		"sums":                   {append(slices.Clone(good), "amd64/SHA256SUMS"), "amd64 has handed on"},
		"the other's":            {append(slices.Clone(good), "amd64/"+other), "amd64 has handed on"},
		"none of a platform":     {good[:1], "arm64"},
		"another version":        {append(slices.Clone(good[1:]), "amd64/stock-lambda-9.9.9-linux-amd64.tar.gz"), "amd64"},
		"a name with its option": {append(slices.Clone(good), "sboms/-x"), "sboms has handed on"},
	} {
		folder := cloned(t)
		for _, file := range known.files {
			path := filepath.Join(folder, "downloads", file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		said, err := release(folder, "collect", "1.2.3", filepath.Join(folder, "downloads"))
		if (err == nil) != (known.says == "") || !strings.Contains(said, known.says) {
			t.Errorf("%s: %v, %q", name, err, said)
		}
		if err == nil {
			for _, file := range known.files {
				if readFile(t, filepath.Join(folder, "target/assets", filepath.Base(file))) != file {
					t.Errorf("%s is another file", file)
				}
			}
		}
	}
	text := readFile(t, filepath.Join(folder, "release.yml"))
	if strings.Contains(text, "merge-multiple") || strings.Contains(text, "pattern:") || !strings.Contains(text, `bash .ci/release collect "$VERSION" target/downloads`) {
		t.Error("release.yml puts what jobs hand on into one folder")
	}
}

// Who may push a branch may not release it, and what is released is not released anew under its
// name.
func TestATagCountsOnMainAndOnce(t *testing.T) {
	workflow := parsed(t, "release.yml")
	names := scripts(workflow)
	for _, part := range []string{`git merge-base --is-ancestor "$GITHUB_SHA" origin/main`, `if gh release view "$TAG" --repo "$GITHUB_REPOSITORY" > /dev/null; then`} {
		if !strings.Contains(names, part) {
			t.Errorf("release.yml lacks %q", part)
		}
	}
	for of, job := range workflow.Jobs {
		pushes := false
		if job.Permissions != nil {
			permission := job.Permissions.Scopes["packages"]
			pushes = permission != nil && permission.Value.Value == "write"
		}
		if pushes != (job.Environment != nil && job.Environment.Name.Value == "release") {
			t.Errorf("job %s: whoever pushes is asked for by the environment's reviewers", of)
		}
		if pushes && !slices.ContainsFunc(job.Needs, func(need *actionlint.String) bool { return need.Value == "names" }) {
			t.Errorf("job %s pushes before the tag is looked at", of)
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

var workflows = []string{"ci.yml", "docs.yml", "release.yml", "weekly.yml"}

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

// A tag can be moved by whoever gets at the action's repository, and a commit cannot. The comment
// behind it is what dependabot reads and moves along. Actions are GitHub's own: whoever else's
// would run with the job's rights.
func TestActionsAreGithubsOwnByCommitAndAllByTheSame(t *testing.T) {
	versions := map[string][]string{}
	for _, name := range workflows {
		lines := regexp.MustCompile(`uses: ([^\s@]+)(\S*)(.*)`).FindAllStringSubmatch(readFile(t, filepath.Join(folder, name)), -1)
		if len(lines) == 0 {
			t.Errorf("%s uses nothing", name)
		}
		for _, line := range lines {
			if !strings.HasPrefix(line[1], "actions/") {
				t.Errorf("%s: %s is not GitHub's own", name, line[1])
			}
			if !regexp.MustCompile(`^@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(line[2] + line[3]) {
				t.Errorf("%s: %s%s%s is no commit with its version behind it", name, line[1], line[2], line[3])
			}
			if version := line[2] + line[3]; !slices.Contains(versions[line[1]], version) {
				versions[line[1]] = append(versions[line[1]], version)
			}
		}
	}
	for action, found := range versions {
		if len(found) > 1 {
			t.Errorf("%s is used as %v", action, found)
		}
	}
	moved := readFile(t, "../../.github/dependabot.yml")
	for _, kind := range []string{"github-actions", "docker", "gomod", "cargo"} {
		if !strings.Contains(moved, "package-ecosystem: "+kind+"\n") {
			t.Errorf("nothing moves what is pinned of %s", kind)
		}
	}
}

// Whoever can write to the repository neither signs nor runs anything that was built or fetched.
func TestNoJobOfAReleaseHasMoreRightsThanItNeeds(t *testing.T) {
	signs := []string{}
	for name, job := range parsed(t, "release.yml").Jobs {
		granted := map[string]string{}
		if job.Permissions != nil {
			for scope, permission := range job.Permissions.Scopes {
				granted[scope] = permission.Value.Value
			}
		}
		script, actions := "", []string{}
		for _, step := range job.Steps {
			switch step := step.Exec.(type) {
			case *actionlint.ExecRun:
				script += step.Run.Value + "\n"
			case *actionlint.ExecAction:
				used, _, _ := strings.Cut(step.Uses.Value, "@")
				actions = append(actions, used)
			}
		}
		if granted["id-token"] == "write" {
			signs = append(signs, name)
		}
		if granted["contents"] == "write" {
			if len(granted) > 1 || !slices.Equal(actions, []string{"actions/download-artifact"}) || !strings.Contains(script, "gh release create") ||
				strings.Contains(script, "bash") || strings.Contains(script, "go ") {
				t.Errorf("job %s may write to the repository: %v, %v", name, granted, actions)
			}
		}
		if strings.Contains(script, "cargo ") && len(granted) > 0 {
			t.Errorf("job %s compiles with %v", name, granted)
		}
	}
	if !slices.Equal(signs, []string{"sign"}) {
		t.Errorf("%v may sign", signs)
	}
	for _, name := range slices.DeleteFunc(slices.Clone(workflows), func(name string) bool { return name == "release.yml" }) {
		for of, job := range parsed(t, name).Jobs {
			if job.Permissions != nil {
				t.Errorf("%s: job %s has rights of its own", name, of)
			}
		}
	}
}

// GitHub's own default is `bash -e`: of `helm push | tee` it sees what tee says.
func TestAFailureInAPipeEndsAStep(t *testing.T) {
	for _, name := range workflows {
		workflow := parsed(t, name)
		if workflow.Defaults == nil || workflow.Defaults.Run == nil || workflow.Defaults.Run.Shell == nil || workflow.Defaults.Run.Shell.Value != "bash" {
			t.Errorf("%s does not ask for bash with pipefail", name)
		}
	}
}

// In the Rust image CARGO_HOME is /usr/local/cargo, and HOME is the runner's: a cache of ~/.cargo
// holds nothing.
func TestCachesAreOfFoldersThatTheImageUses(t *testing.T) {
	caches := 0
	for _, name := range workflows {
		for of, job := range parsed(t, name).Jobs {
			for _, step := range job.Steps {
				action, ok := step.Exec.(*actionlint.ExecAction)
				if !ok || !strings.HasPrefix(action.Uses.Value, "actions/cache@") {
					continue
				}
				caches++
				for _, path := range strings.Fields(action.Inputs["path"].Value.Value) {
					if job.Container != nil && strings.Contains(path, ".cargo") {
						t.Errorf("%s: job %s caches %s", name, of, path)
					}
				}
			}
		}
	}
	if caches < 2 {
		t.Errorf("only %d caches were found", caches)
	}
}

// The token would stand in .git/config for whatever runs afterwards, and nothing here pushes by
// git.
func TestTheTokenIsNotLeftInTheClone(t *testing.T) {
	for _, name := range workflows {
		for of, job := range parsed(t, name).Jobs {
			for _, step := range job.Steps {
				action, ok := step.Exec.(*actionlint.ExecAction)
				if !ok || !strings.HasPrefix(action.Uses.Value, "actions/checkout@") {
					continue
				}
				if kept := action.Inputs["persist-credentials"]; kept == nil || kept.Value.Value != "false" {
					t.Errorf("%s: job %s keeps the token", name, of)
				}
			}
		}
	}
}

// The chart is packaged by the Helm whose library the checks ask, and what is run is of one version
// for good.
func TestToolsAreBuiltFromSourceOfAFixedVersion(t *testing.T) {
	bin := t.TempDir()
	stub := "#!/bin/sh\ncase \"$*\" in\n*'list -m'*) echo v3.99.1 ;;\ninstall*) echo \"$*\" >> " + bin + "/installed ;;\n*) echo /gopath ;;\nesac\n"
	if err := os.WriteFile(bin+"/go", []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("bash", "../../.ci/tool", "helm", "cosign")
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GITHUB_PATH="+bin+"/path")
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	wanted := regexp.MustCompile(`^install helm\.sh/helm/v3/cmd/helm@v3\.99\.1\ninstall github\.com/sigstore/cosign/v2/cmd/cosign@v[0-9]+\.[0-9]+\.[0-9]+\n$`)
	if installed := readFile(t, bin+"/installed"); !wanted.MatchString(installed) || readFile(t, bin+"/path") != "/gopath/bin\n" {
		t.Errorf("installed: %s", installed)
	}
	for _, name := range []string{"ci.yml", "release.yml"} {
		if !strings.Contains(scripts(parsed(t, name)), "bash .ci/tool helm") {
			t.Errorf("%s has another Helm", name)
		}
	}
}

// Without the end a signature that the workflow of any branch has made would do.
func TestWhoeverVerifiesAsksForATag(t *testing.T) {
	text := readFile(t, "../../docs/operations.md")
	identity := regexp.MustCompile(`--certificate-identity-regexp '([^']+)'`).FindStringSubmatch(text)
	if identity == nil {
		t.Fatal("docs/operations.md verifies nothing")
	}
	const workflow = "https://github.com/OWNER/stock-lambda/.github/workflows/release.yml@refs/"
	for ref, passes := range map[string]bool{"tags/v1.0.0": true, "tags/v1.0.0-rc.1": true, "heads/main": false, "heads/v1": false, "pull/7/merge": false} {
		if regexp.MustCompile(identity[1]).MatchString(workflow+ref) != passes {
			t.Errorf("%s: a signature made from %s", identity[1], ref)
		}
	}
}

// Rust is of one version wherever something is built.
func TestTheToolchainIsTheDockerfiles(t *testing.T) {
	found := regexp.MustCompile(`ARG RUST_IMAGE=(rust:([0-9.]+)-\w+)`).FindStringSubmatch(readFile(t, "../../Dockerfile"))
	for _, name := range workflows {
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

// The official images have the profile `minimal`: cargo, rustc and the library, neither rustfmt nor
// clippy.
func TestWhatTheRustImageLacksIsAddedBeforeItIsAskedFor(t *testing.T) {
	run := readFile(t, "../../.ci/run")
	added, asked := strings.Index(run, "\n{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy\n"), strings.Index(run, "step cargo fmt")
	if added < 0 || asked < added {
		t.Error(".ci/run formats by a program that the image does not have")
	}
	for _, name := range workflows {
		for of, job := range parsed(t, name).Jobs {
			script := ""
			for _, step := range job.Steps {
				if run, ok := step.Exec.(*actionlint.ExecRun); ok {
					script += run.Run.Value + "\n"
				}
			}
			if strings.Contains(script, "cargo fmt") || strings.Contains(script, "cargo clippy") {
				t.Errorf("%s: job %s formats or lints by itself, and not by .ci/run", name, of)
			}
			// In the image there is no Docker, no Helm, no `gh` and no `sudo`.
			if job.Container == nil {
				continue
			}
			for _, program := range []string{"docker ", "helm ", "gh ", "sudo ", "jq "} {
				if strings.Contains(script, program) {
					t.Errorf("%s: job %s runs %sin an image without it", name, of, program)
				}
			}
		}
	}
}

// As the image: where `cargo fmt` fails the components are added, and elsewhere rustup is not
// asked, since it may not be there.
func TestComponentsAreAddedWhereTheyAreMissingAlone(t *testing.T) {
	run := readFile(t, "../../.ci/run")
	line := regexp.MustCompile(`(?m)^\{ cargo fmt --version.*$`).FindString(run)
	for _, has := range []string{"fmt clippy", "fmt", ""} {
		bin := t.TempDir()
		for name, script := range map[string]string{
			"cargo":  "case \" $HAS \" in *\" $1 \"*) exit 0 ;; esac\nexit 1\n",
			"rustup": "echo \"$*\" >> " + bin + "/asked\n",
		} {
			if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		command := exec.Command("bash", "-euc", line)
		command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HAS=" + has}
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		asked, _ := os.ReadFile(bin + "/asked")
		if wanted := map[bool]string{true: "", false: "component add rustfmt clippy\n"}[has == "fmt clippy"]; string(asked) != wanted {
			t.Errorf("where cargo has %q rustup is asked %q", has, asked)
		}
	}
}

// A change of xtask need not fetch every crate again.
func TestACacheOfAnotherChangeIsBetterThanNone(t *testing.T) {
	if ci := readFile(t, filepath.Join(folder, "ci.yml")); !regexp.MustCompile(`key: (ci-)\$.*\n(?: +#.*\n)* +restore-keys: ci-\n`).MatchString(ci) {
		t.Error("ci.yml takes a cache of the same files or none")
	}
}

// Two merges within the time that a run takes: both are judged.
func TestOnlyAPullRequestsRunIsCancelled(t *testing.T) {
	if ci := readFile(t, filepath.Join(folder, "ci.yml")); !strings.Contains(ci, "cancel-in-progress: ${{ github.event_name == 'pull_request' }}\n") {
		t.Error("ci.yml cancels the run of a change that is on main")
	}
}

// What needs somebody else's page, or hours, is no condition of a change, and is looked at all the
// same.
func TestContainersAndAControlPlaneRunOnceAWeek(t *testing.T) {
	weekly := parsed(t, "weekly.yml")
	events := []string{}
	for _, event := range weekly.On {
		events = append(events, event.EventName())
	}
	slices.Sort(events)
	if !slices.Equal(events, []string{"schedule", "workflow_dispatch"}) {
		t.Errorf("it runs on %v", events)
	}
	script, text := scripts(weekly), readFile(t, filepath.Join(folder, "weekly.yml"))
	for _, part := range []string{"bash .ci/compose\n", "cargo xtask containers\n", "cargo xtask manifests --apply\n", "cargo xtask deny --advisories\n"} {
		if !strings.Contains(script, part) {
			t.Errorf("weekly.yml lacks %q", part)
		}
	}
	overrides, err := filepath.Glob("../../docker-compose.*.yml")
	if err != nil || len(overrides) < 2 {
		t.Fatal(overrides, err)
	}
	all := ""
	for _, override := range overrides {
		all += ":" + filepath.Base(override)
		if !strings.Contains(text, `files: "docker-compose.yml:`+filepath.Base(override)+`"`) {
			t.Errorf("nobody brings up %s", override)
		}
	}
	for _, files := range []string{`files: "docker-compose.yml"`, `files: "docker-compose.yml` + all + `"`, "sink: aiven", "sink: confluent"} {
		if !strings.Contains(text, files) {
			t.Errorf("weekly.yml lacks %s", files)
		}
	}
	if ci := readFile(t, filepath.Join(folder, "ci.yml")); regexp.MustCompile(`(?m)build .*\bconnect$`).MatchString(ci) {
		t.Error("ci.yml needs a vendor's page for each change")
	}
}

// .ci/compose with programs of the test's in Docker's and curl's place.
func TestComposeIsLookedAtUntilAllIsThereAndTakenAway(t *testing.T) {
	for name, known := range map[string]struct {
		ps, ticks, hours, metrics, grafana string
		code                               int
		said                               string
	}{
		"all":              {"topics exited 0\nkafka running 0", "t", "t", `"value":[1,"1"]`, `"database":"ok"`, 0, "all there"},
		"no tick":          {"", "f", "t", `"value":[1,"1"]`, `"ok"`, 1, "no tick"},
		"no hour":          {"", "t", "f", `"value":[1,"1"]`, `"ok"`, 1, "no hour"},
		"a target is down": {"", "t", "t", `"result":[]`, `"ok"`, 1, "a target"},
		"no Grafana":       {"", "t", "t", `"value":[1,"1"]`, ``, 1, "Grafana"},
		"a job failed":     {"migrate exited 3\ntopics exited 0", "t", "t", `"value":[1,"1"]`, `"ok"`, 1, "ended badly: migrate"},
	} {
		bin := t.TempDir()
		for program, script := range map[string]string{
			"docker": "echo \"$*\" >> " + bin + `/asked
case $* in
*' ps --all --format'*) printf '%b\n' "$PS" ;;
*realtime_stock*) echo "$TICKS" ;;
*hourly_stock*) echo "$HOURS" ;;
esac`,
			"curl": `case $* in *:9090/*) echo "$METRICS" ;; *:3000/*) echo "$GRAFANA" ;; esac`,
		} {
			if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		command := exec.Command("bash", "../../.ci/compose", "--wait")
		command.Env = []string{
			"PATH=" + bin + ":" + os.Getenv("PATH"), "COMPOSE_PATIENCE=1", "COMPOSE_PAUSE=0.3", "PS=" + known.ps, "TICKS=" + known.ticks,
			"HOURS=" + known.hours, "METRICS=" + known.metrics, "GRAFANA=" + known.grafana,
		}
		said, err := command.CombinedOutput()
		if command.ProcessState == nil || command.ProcessState.ExitCode() != known.code || !strings.Contains(string(said), known.said) {
			t.Errorf("%s: %v, %s", name, err, said)
		}
		asked := readFile(t, bin+"/asked")
		if !strings.HasPrefix(asked, "compose up --build --detach --wait\n") || !strings.HasSuffix(asked, "compose down --volumes --remove-orphans --timeout 20\n") {
			t.Errorf("%s: Docker is asked\n%s", name, asked)
		}
	}
}
