package frame

import (
	"os"
	"path/filepath"
	"testing"
)

// samples are the definitions that only tests use, by file.
func samples(t testing.TB) map[string]*Codec {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	all := map[string]*Codec{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(file, src)
		if err != nil {
			t.Error(err)
			continue
		}
		all[file] = c
	}
	return all
}

// The vectors of the sample definitions pass, and leave nothing out.
func TestSamples(t *testing.T) {
	for file, c := range samples(t) {
		report := c.Check()
		for _, v := range report.Vectors {
			for _, p := range v.Problems {
				t.Errorf("%s:%d: %s: %s", file, v.Line, v.Name, p)
			}
		}
		for _, u := range report.Unused {
			t.Errorf("%s:%d: no vector exercises the %s %s", file, u.Line, u.What, u.Name)
		}
	}
}
