package frame

import (
	"os"
	"strings"
	"testing"
)

// Every example of README.md loads, and its vectors pass. Those that are parts
// of a file get the rest of it here.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		yaml, _, _ := strings.Cut(block, "```")
		if !strings.Contains(yaml, "framing:") {
			yaml = "framing: whole\n" + yaml
		}
		if !strings.HasPrefix(yaml, "codec:") {
			yaml = "codec: example\n" + yaml
		}
		c, err := Parse("README.md", []byte(yaml))
		if err != nil {
			t.Errorf("%v\n%s", err, yaml)
			continue
		}
		for _, v := range c.Check().Vectors {
			for _, p := range v.Problems {
				t.Errorf("codec %s: %s: %s", c.Name(), v.Name, p)
			}
		}
	}
}
