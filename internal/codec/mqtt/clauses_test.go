package mqtt

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A citation is the notation of doc.go with or without brackets; "-9..11"
// cites a range.
var citation = regexp.MustCompile(`\bMQTT(3?)-(\d+(?:\.\d+)+)-(\d+)(?:\.\.(\d+))?\b`)

// cited is a set of statements with a file that cites each.
type cited map[string]string

func readClauses(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			ids = append(ids, line)
		}
	}
	return ids
}

// repositoryRoot is the directory of go.mod.
func repositoryRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the package")
		}
		dir = parent
	}
}

func citations(line string) (v3, v5 []string) {
	for _, m := range citation.FindAllStringSubmatch(line, -1) {
		first, _ := strconv.Atoi(m[3])
		last := first
		if m[4] != "" {
			last, _ = strconv.Atoi(m[4])
		}
		for n := first; n <= last; n++ {
			id := m[2] + "-" + strconv.Itoa(n)
			if m[1] == "3" {
				v3 = append(v3, id)
			} else {
				v5 = append(v5, id)
			}
		}
	}
	return v3, v5
}

// TestCitedClausesExist reads every Go file of the repository, fails on a
// cited statement that its standard does not have, and reports which
// statements are cited by code and by tests, and which by neither.
func TestCitedClausesExist(t *testing.T) {
	root := repositoryRoot(t)
	standards := []struct {
		name, prefix string
		all          []string
		code, tests  cited
	}{
		{"3.1.1", "MQTT3-", readClauses(t, "clauses-3.1.1.txt"), cited{}, cited{}},
		{"5.0", "MQTT-", readClauses(t, "clauses-5.0.txt"), cited{}, cited{}},
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "vendor") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, _ := filepath.Rel(root, path)
		number := 0
		for line := range strings.Lines(string(b)) {
			number++
			v3, v5 := citations(line)
			for i, ids := range [][]string{v3, v5} {
				s := &standards[i]
				for _, id := range ids {
					if !slices.Contains(s.all, id) {
						t.Errorf("%s:%d: MQTT %s has no statement [%s%s]", file, number, s.name, s.prefix, id)
					} else if strings.HasSuffix(file, "_test.go") {
						s.tests[id] = file
					} else {
						s.code[id] = file
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range standards {
		var missing []string
		both := 0
		for _, id := range s.all {
			_, inCode := s.code[id]
			_, inTests := s.tests[id]
			if inCode && inTests {
				both++
			}
			if !inCode && !inTests {
				missing = append(missing, s.prefix+id)
			}
		}
		t.Logf("MQTT %s: %d statements; cited by code %d, by tests %d, by both %d, by neither %d",
			s.name, len(s.all), len(s.code), len(s.tests), both, len(missing))
		t.Logf("neither: %s", strings.Join(missing, " "))
	}
}

func TestClauseListsAreSortedWithoutDuplicates(t *testing.T) {
	for _, name := range []string{"clauses-3.1.1.txt", "clauses-5.0.txt"} {
		ids := readClauses(t, name)
		if len(ids) < 100 {
			t.Errorf("%s: %d statements", name, len(ids))
		}
		shape := regexp.MustCompile(`^\d+(\.\d+)+-[1-9]\d*$`)
		for i, id := range ids {
			if !shape.MatchString(id) {
				t.Errorf("%s: %q", name, id)
			}
			if slices.Index(ids, id) != i {
				t.Errorf("%s: %s twice", name, id)
			}
		}
	}
}

func TestCitationNotation(t *testing.T) {
	v3, v5 := citations(strings.ReplaceAll(`x // [*-3.3.1-9..11] [*3-3.1.2-24] *-3.12.2 "*-4.2-1" * 5.0`, "*", "MQTT"))
	if d := cmpDiff([]string{"3.1.2-24"}, v3); d != "" {
		t.Error(d)
	}
	if d := cmpDiff([]string{"3.3.1-9", "3.3.1-10", "3.3.1-11", "4.2-1"}, v5); d != "" {
		t.Error(d)
	}
}
