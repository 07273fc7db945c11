package frame

import "testing"

// Every shipped definition compiles and keeps its own vectors.
func TestBuiltin(t *testing.T) {
	for _, name := range Builtin() {
		t.Run(name, func(t *testing.T) {
			c, err := Open(name)
			if err != nil {
				t.Fatal(err)
			}
			report := c.Check()
			for _, v := range report.Vectors {
				for _, p := range v.Problems {
					t.Errorf("%s.yaml:%d: %s: %s", name, v.Line, v.Name, p)
				}
			}
			if len(report.Vectors) == 0 {
				t.Error("it has no vectors")
			}
		})
	}
}
