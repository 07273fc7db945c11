package frame_test

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/transport"
)

// A listener whose codec stands in a file that is broken is not told that there
// is none: what is wrong with the file is.
func TestListenersOfBrokenFiles(t *testing.T) {
	c := frame.Config{Codecs: []frame.Definition{
		{Name: "a.yaml", Source: "codec: meter\nframing: {start: \"zz\", fixed: 4}\n"},
		{Name: "dir/valve.yaml", Source: "framing: whole\n"},
		{Name: "failing.yaml", Source: "codec: pump\nframing: whole\ntests: [{hex: \"00\", error: end}]\n"},
		{Name: "good.yaml", Source: "codec: fan\nframing: whole\n"},
	}}
	for name, want := range map[string]string{
		"meter": "", "valve": "", "pump": "", "fan": "", "gt06": "",
		"good": `no codec "good": there are dlt645, dlt69845, fan, `, "": "as in frame://127.0.0.1:0/gt06",
		"./good.yaml": "./good.yaml is a file: list it in frame.codecs", "good.yaml": "good.yaml is a file: ",
	} {
		e, err := transport.Parse("frame://127.0.0.1:0/"+name, frame.Schemes())
		if err != nil {
			t.Fatal(err)
		}
		switch err := c.CheckListener(e); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
	err := c.Validate()
	for _, want := range []string{"codecs[0]: a.yaml:2: ", "codecs[1]: valve.yaml:1: ", "codecs[2]: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
