package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
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
