package mqtt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// lastItem is the last number of the list that concerns MQTT clients; those
// above it are about administration, other protocols and storage. Number 91,
// WebSocket, is among the tests nevertheless.
const lastItem = 72

// leftOut are the items that have nothing to be tried on, and why.
var leftOut = map[int]string{
	40: "server reference and redirect loops: the broker never sends a server reference",
	56: "bridge loops: there are no bridges",
}

// partly are items of which a part has nothing to be tried on.
var partly = map[int]string{
	13: "half-open connections are open ones that say nothing: a test cannot withhold the last packet of TCP's handshake",
	19: "a client before 5.0 cannot be told a keep alive; there TCP's own ends what is dead",
	22: "5.0 allows an empty client identifier with any clean start",
	31: "a will topic of one level and 65,535 bytes is valid and accepted",
	37: "there is no rule against flapping clients",
	48: "an acknowledgement of 3 bytes is valid in 5.0",
	51: "there are no delayed and no exclusive topics; publishing to them is refused",
	54: "expiry over a bridge: there are no bridges",
	68: "there are no $queue/ subscriptions",
	69: "delayed and bridged messages: there are none",
}

// The tests, by number, are found in the sources: a number that is neither
// there nor in leftOut is missing.
func TestHostileListIsComplete(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^TestHostile_(\d\d)_\w+$`)
	tests := map[int]string{}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "hostile_") || !strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "TestHostile_") {
				continue
			}
			m := name.FindStringSubmatch(fn.Name.Name)
			if m == nil {
				t.Errorf("%s: the name has no number of two digits", fn.Name.Name)
				continue
			}
			n, _ := strconv.Atoi(m[1])
			if other := tests[n]; other != "" {
				t.Errorf("%s and %s have the same number", other, fn.Name.Name)
			}
			tests[n] = fn.Name.Name
		}
	}
	for n := 1; n <= lastItem; n++ {
		switch test, why := tests[n], leftOut[n]; {
		case test == "" && why == "":
			t.Errorf("item %d has no test", n)
		case test != "" && why != "":
			t.Errorf("item %d is left out (%s) and tested by %s", n, why, test)
		case test == "" && partly[n] != "":
			t.Errorf("item %d has no test, not even a part of one", n)
		}
	}
	if tests[91] == "" {
		t.Error("item 91 has no test")
	}
}
