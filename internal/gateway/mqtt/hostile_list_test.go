package mqtt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// items are the numbers of the list that concern MQTT clients, and those about
// WebSocket, other protocols and storage. The rest is about administration.
func items() []int {
	all := []int{91, 92, 93, 94}
	for n := 72; n >= 1; n-- {
		all = append(all, n)
	}
	return all
}

// places are the directories with tests; those of storage need the built program.
var places = []string{".", "../../interop"}

// leftOut are the items that have nothing to be tried on, and why.
var leftOut = map[int]string{
	40: "server reference and redirect loops: the broker never sends a server reference",
	56: "bridge loops: there are no bridges",
	92: "MQTT-SN, CoAP, STOMP and LwM2M: there are no gateways for them",
	93: "private protocols: there is no gateway for them",
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
	94: "failing writes and syncs, a full disk and kills at commit points: where the disk can be replaced, in store/pebble",
}

// The tests, by number, are found in the sources: a number that is neither
// there nor in leftOut is missing.
func TestHostileListIsComplete(t *testing.T) {
	tests := map[int]string{}
	for _, dir := range places {
		hostileTests(t, dir, tests)
	}
	for _, n := range items() {
		switch test, why := tests[n], leftOut[n]; {
		case test == "" && why == "":
			t.Errorf("item %d has no test", n)
		case test != "" && why != "":
			t.Errorf("item %d is left out (%s) and tested by %s", n, why, test)
		case test == "" && partly[n] != "":
			t.Errorf("item %d has no test, not even a part of one", n)
		}
	}
}

// hostileTests adds the tests in dir, by number.
func hostileTests(t *testing.T, dir string, tests map[int]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "hostile_*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^TestHostile_(\d\d)_\w+$`)
	for _, f := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
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
}
