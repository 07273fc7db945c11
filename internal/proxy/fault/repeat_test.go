package fault

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/proxytest"
)

// run has clients publish through a scenario, all at the same time, and returns what
// was done to each.
func run(t *testing.T, sc *Scenario, broker string) map[string][]string {
	t.Helper()
	var mu sync.Mutex
	done := map[string][]string{}
	set := NewSet(Options{Seed: sc.Seed, Report: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		key := e.Client + " " + e.Direction.String()
		done[key] = append(done[key], fmt.Sprintf("%s %s %s %d %d %s", e.Rule, e.Action, e.Packet, e.Number, e.Match, e.Text))
	}})
	if _, err := set.Add(sc.Rules...); err != nil {
		t.Fatal(err)
	}
	e := proxytest.Start(t, broker, func(c *proxy.Config) { c.Stages = []proxy.Factory{set} })
	var wg sync.WaitGroup
	for i := range 4 {
		c := proxytest.Connect(t, proxytest.URL(e), mqtt.V311, fmt.Sprintf("client-%d", i))
		wg.Go(func() {
			for id := range uint16(50) {
				if write(c, mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: id + 1, Payload: []byte("x")}, mqtt.V311) != nil {
					return
				}
			}
			// The answer to the last ping comes behind all others.
			if write(c, mqtt.Pingreq{}, mqtt.V311) != nil {
				return
			}
			for {
				if p, err := c.Read1(); err != nil || p.Type() == mqtt.TypePingresp {
					return
				}
			}
		})
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	copied := map[string][]string{}
	for k, v := range done {
		copied[k] = slices.Clone(v)
	}
	return copied
}

func TestAScenarioRepeatsExactly(t *testing.T) {
	sc, err := ParseScenario([]byte(`seed: 42
rules:
  - lost: drop @ s2c PUBACK / p=0.2
  - twice: dup @ c2s PUBLISH / p=0.1
  - late: delay 1ms±1 @ s2c PUBACK / p=0.1
  - spoilt: corrupt byte=7 @ c2s PUBLISH / p=0.05
  - drop @ c2s PUBLISH / every=7 times=3
`))
	if err != nil {
		t.Fatal(err)
	}
	broker := proxytest.Broker(t)
	first := run(t, sc, broker)
	if len(first) != 8 {
		t.Errorf("%d of 8 directions have faults", len(first))
	}
	for range 2 {
		again := run(t, sc, broker)
		for key, want := range first {
			if got := again[key]; !slices.Equal(got, want) {
				t.Errorf("%s:\n%s\nand then\n%s", key, strings.Join(want, "\n"), strings.Join(got, "\n"))
			}
		}
	}
	sc.Seed = 43
	if other := run(t, sc, broker); fmt.Sprint(other) == fmt.Sprint(first) {
		t.Error("another seed does the same")
	}
}

// TestMosquittoClientsThroughFaults has clients of others meet faults.
func TestMosquittoClientsThroughFaults(t *testing.T) {
	pub, err := exec.LookPath("mosquitto_pub")
	if err != nil {
		if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
			t.Fatal(err)
		}
		t.Skip("mosquitto_pub is not installed (Debian: mosquitto-clients)")
	}
	for _, tt := range []struct {
		rule, version, qos string
		fails              bool
		output             string
	}{
		{"delay 5ms @ both", "mqttv5", "2", false, ""},
		{"dup 3 @ c2s PUBLISH", "mqttv311", "2", false, ""},
		{"dup 3 @ c2s PUBLISH", "mqttv5", "1", false, ""},
		{"slice 1 @ both", "mqttv5", "1", false, ""},
		{"lie @ c2s PUBLISH", "mqttv311", "2", false, ""},
		{"refuse 0x97 @ c2s PUBLISH", "mqttv5", "1", false, "Quota exceeded"},
		{"refuse 0x89 @ c2s CONNECT", "mqttv5", "1", true, "Server busy"},
		{"refuse 0x89 @ c2s CONNECT", "mqttv311", "1", true, "broker unavailable"},
		{"inject s2c PUBLISH topic=x qos=1 @ s2c CONNACK", "mqttv311", "1", false, ""},
	} {
		t.Run(tt.rule+", "+tt.version, func(t *testing.T) {
			set := NewSet(Options{})
			addRules(t, set, tt.rule)
			e := proxytest.Start(t, proxytest.Broker(t), func(c *proxy.Config) { c.Stages = []proxy.Factory{set} })
			_, port, _ := strings.Cut(strings.TrimPrefix(proxytest.URL(e), "mqtt://"), ":")
			out, err := exec.CommandContext(t.Context(), pub, "-h", "127.0.0.1", "-p", port, "-V", tt.version, "-q", tt.qos, "-t", "a/b", "-m", "x").CombinedOutput()
			if (err != nil) != tt.fails || !strings.Contains(strings.ToLower(string(out)), strings.ToLower(tt.output)) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
