package main

import (
	"strings"
	"testing"
)

// What pflag cannot break, such as a long URL, makes a line that no terminal shows.
func TestHelpOfOptionsFitsItsWidth(t *testing.T) {
	root := newRoot()
	for _, name := range programNames {
		cmd, _, err := root.Find(strings.Fields(name))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := programOf(name)
		var b strings.Builder
		if err := writeClientUsage(&b, cmd, p); err != nil {
			t.Fatal(err)
		}
		_, options, _ := strings.Cut(b.String(), ":\n  iotctl")
		for _, line := range append(strings.Split(cmd.Long, "\n"), strings.Split(options, "\n")...) {
			if len(line) > helpWidth && !strings.Contains(line, "iotctl "+name) && !strings.Contains(line, "[options]") {
				t.Errorf("%s: %d bytes: %s", name, len(line), line)
			}
		}
	}
}
