package main

import (
	"strings"
	"testing"
)

// Who forgets the scheme of a device's URL is told by its port.
func TestAPortOfDevicesIsKnown(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-p", "8090", "-h", "h"}, "it is the usual port of the EMQ private TCP protocol:  iotctl pub emqtcp://h"},
		{[]string{"-p", "8871", "-h", "h", "--tls"}, "it is the usual port of the text protocol:  iotctl pub texts://h"},
		{[]string{"-h", "h"}, ""},
	} {
		s := newSettings(progPub, false)
		options := optionsFor(progPub, false)
		for i := 0; i < len(tc.args); i++ {
			o := findOption(options, tc.args[i])
			value := ""
			if o.arg != "" {
				i++
				value = tc.args[i]
			}
			if err := o.set(s, value); err != nil {
				t.Fatal(err)
			}
		}
		hints := strings.Join(s.wrongPortHints(), "\n")
		if tc.want == "" && strings.Contains(hints, "usual port") || !strings.Contains(hints, tc.want) {
			t.Errorf("%q: %s", tc.args, hints)
		}
	}
}
