// Package check holds .github/workflows against actionlint's rules. A module apart from
// deploy/check: actionlint and Compose's loader want different versions of one YAML library.
package check

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
)

const folder = "../../.github/workflows"

func TestActionlintFindsNothing(t *testing.T) {
	files, err := filepath.Glob(folder + "/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("expected ci.yml and release.yml, found %v (%v)", files, err)
	}
	for _, finding := range lint(t, files...) {
		t.Error(finding)
	}
}

func TestActionlintWouldFindAFault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.yml")
	text := "on: push\njobs:\n  one:\n    runs-on: ubuntu-24.04\n    needs: two\n    steps:\n      - run: echo ${{ github.nothing }}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := lint(t, file); len(found) != 2 {
		t.Errorf("expected an unknown job and an unknown property, found %v", found)
	}
}

func lint(t *testing.T, files ...string) []*actionlint.Error {
	t.Helper()
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.LintFiles(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is not said is what the repository grants by default, often everything.
func TestWorkflowsSayWhatTheyMayDoAndEnd(t *testing.T) {
	files, err := filepath.Glob(folder + "/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		workflow, findings := actionlint.Parse(text)
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		if workflow.Permissions == nil {
			t.Errorf("%s has every right", file)
		}
		for name, job := range workflow.Jobs {
			if job.TimeoutMinutes == nil {
				t.Errorf("%s: job %s may run for six hours", file, name)
			}
		}
	}
}

func TestBothWorkflowsRunWhatEveryChangeMustPass(t *testing.T) {
	for _, name := range []string{"ci.yml", "release.yml"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !strings.Contains(string(text), "run: bash .ci/run\n") {
			t.Errorf("%s does not run .ci/run (%v)", name, err)
		}
	}
}
