package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	const hint = "run `make docs` (go run ./cmd/iotctl docs .) and commit the result"
	root := filepath.Join("..", "..")
	files, err := generateDocs()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("%v: %s", err, hint)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s does not fit the commands: %s (-want +got)\n%s", name, hint, diff)
		}
	}
	for _, dir := range []string{"man", "completions"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if _, ok := files[dir+"/"+e.Name()]; !ok {
				t.Errorf("%s/%s belongs to no command: remove it", dir, e.Name())
			}
		}
	}
}

// The other packages of a release take whole directories.
func TestHomebrewCaskListsEveryManPage(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var release struct {
		Casks []struct{ Manpages []string } `yaml:"homebrew_casks"`
	}
	if err := yaml.Unmarshal(b, &release); err != nil {
		t.Fatal(err)
	}
	files, err := generateDocs()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for name := range files {
		if strings.HasPrefix(name, "man/") {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if len(release.Casks) != 1 {
		t.Fatalf("%d casks", len(release.Casks))
	}
	got := slices.Sorted(slices.Values(release.Casks[0].Manpages))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("homebrew_casks.manpages of goreleaser.yaml (-want +got):\n%s", diff)
	}
}

func TestGeneratedFilesAreTheSameEachTime(t *testing.T) {
	a, err := generateDocs()
	if err != nil {
		t.Fatal(err)
	}
	b, err := generateDocs()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

func TestCompletionCommandPrintsTheCommittedScripts(t *testing.T) {
	files, err := generateDocs()
	if err != nil {
		t.Fatal(err)
	}
	for shell, name := range completionFiles {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{"completion", shell})
		if err := root.Execute(); err != nil {
			t.Errorf("%s: %v", shell, err)
		}
		if diff := cmp.Diff(string(files["completions/"+name]), out.String()); diff != "" {
			t.Errorf("%s: %s", shell, diff)
		}
	}
}

func TestManPageKeepsTablesAndEscapesRequests(t *testing.T) {
	cmd := &cobra.Command{
		Use:   "x",
		Short: "MQTT things",
		Long:  "First line\ncontinues.\n\n  0   a-b\n  1   C:\\d\n\n.not a request",
		Run:   func(*cobra.Command, []string) {},
	}
	cmd.Flags().StringP("topic", "t", "a/#", "the `filter`")
	page := string(manPage(cmd))
	for _, want := range []string{
		".TH X 1 \"\" iotctl \"iotctl manual\"\n",
		"x \\- MQTT things\n",
		"First line\ncontinues.\n.PP\n.RS 4\n.nf\n0   a\\-b\n1   C:\\ed\n.fi\n.RE\n.PP\n\\&.not a request\n",
		".TP\n.B \\-t, \\-\\-topic filter\nthe filter (default a/#)\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
