package fault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

const afternoon = `name: a bad afternoon
seed: 42
rules:
  - acks: drop @ s2c PUBACK / nth=2
  - "drop @ s2c PINGRESP / after=30s"
steps:
  - at: 10s
    add: ["pings: hold @ c2s PINGREQ"]
  - at: 20s
    remove: pings
  - after: acks
    at: 5s
    release: all
    drain: b1
  - at: 60s
    undrain: [b1]
`

type brokers []string

func (b *brokers) Drain(name string, on bool) error {
	if name != "b1" {
		return errors.New("no such broker")
	}
	*b = append(*b, map[bool]string{true: "drain ", false: "undrain "}[on]+name)
	return nil
}

func TestStepsOfAScenario(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc, err := ParseScenario([]byte(afternoon))
		if err != nil {
			t.Fatal(err)
		}
		if sc.Name != "a bad afternoon" || sc.Seed != 42 || !sc.HasSeed || len(sc.Rules) != 2 || len(sc.Steps) != 4 {
			t.Fatalf("%+v", sc)
		}
		set := NewSet(Options{Seed: sc.Seed, Live: true})
		if _, err := set.Add(sc.Rules...); err != nil {
			t.Fatal(err)
		}
		w := &wire{t: t, v: mqtt.V5}
		w.join(set, "a")
		var told []string
		var b brokers
		done := make(chan error, 1)
		go func() { done <- set.Run(context.Background(), sc, &b, func(s string) { told = append(told, s) }) }()

		time.Sleep(11 * time.Second)
		if err := w.client(mqtt.Pingreq{}); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.went(proxy.ToServer, "PINGREQ")
		if err := w.broker(mqtt.Puback{PacketID: 1}, mqtt.Puback{PacketID: 2}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if want := []string{"rule pings added: hold @ c2s PINGREQ", "rule pings removed", "0 packets released", "broker b1 drains", "broker b1 takes connections again"}; !slices.Equal(told, want) {
			t.Error(told)
		}
		if want := []string{"drain b1", "undrain b1"}; !slices.Equal(b, want) {
			t.Error(b)
		}
		w.end()
	})
}

func TestMistakesOfAScenarioHaveLines(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"", "1:1: the file is empty"},
		{"rules:\n  - dorp @ s2c", `2:5: no action is called "dorp"; did you mean "drop"?`},
		{"rules:\n  - \"drop @ topc=a\"", `2:13: nothing in MQTT is called "topc"`},
		{"rules:\n  - a: drop @ s2c / nth=0", `2:25: "0" is no number`},
		{"rules:\n  - a: drop\n  - a: dup", "3:5: there is a rule a already"},
		{"ruels: []", `1:1: no key is called "ruels"; did you mean "rules"?`},
		{"seed: x", `1:7: "x" is no number`},
		{"steps:\n  - add: drop", "2:5: a step without a time"},
		{"steps:\n  - at: soon", `2:9: "soon" is no duration`},
		{"steps:\n  - at: 1s\n    remove: nobody", "2:1: remove: there is no rule nobody"},
		{"rules:\n  - [drop]", "2:5: not a rule"},
		{"rules: [\n", "did not find"},
		{"seed: 1\nseed: 2", `2:1: "seed" is there twice`},
		{"a: 1\n---\nb: 2", "more than one document"},
	} {
		_, err := ParseScenario([]byte(tt.src))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.src, err, tt.want)
		}
	}
}

func FuzzParseScenario(f *testing.F) {
	f.Add([]byte(afternoon))
	f.Add([]byte("rules:\n  - &a drop\n  - *a\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := ParseScenario(src)
		if err == nil {
			for _, r := range s.Rules {
				if _, err := ParseRule(r.String()); err != nil {
					t.Fatalf("%s: %v", r, err)
				}
			}
		}
	})
}
