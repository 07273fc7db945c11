package mqttsn

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string // "" for nothing
	}{
		{"nothing is set", Config{}, ""},
		{"datagram", Config{MaxDatagram: 10}, "max_datagram: 10 is not between 32 and 65507"},
		{"negative", Config{MaxClients: -1}, "max_clients: -1 is not between 1 and"},
		{"duration", Config{Timers: Timers{Retry: -time.Second}}, "timers.retry: -1s is less than 100ms"},
		{"no number", Config{AmplificationLimit: math.NaN()}, "amplification_limit: NaN is not between 1 and 1000"},
		{"below one", Config{Timers: Timers{Backoff: 0.5}}, "timers.backoff: 0.5 is not between 1 and 10"},
		{"word", Config{Sessions: Sessions{Rebind: "perhaps"}}, `sessions.rebind: "perhaps" is not known; it is never, same-ip, sleep-only or always`},
		{"codes", Config{Compat: Compat{ReturnCodes: "EMQX"}}, `compat.return_codes: "EMQX" is not known; it is standard or emqx`},
		{"topics", Config{Topics: Topics{MaxPerClient: 65535}}, "topics.max_per_client: 65535 is not between 1 and 65534"},
	} {
		err := c.cfg.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestNamesOfEMQXMeanTheSame(t *testing.T) {
	c := Config{EnableQoS3: true, SubsResume: true}.withDefaults()
	if !c.QoSMinusOne.Enabled || !c.Topics.RegisterOnResume {
		t.Error("enable_qos3 or subs_resume is ignored")
	}
}

func TestTolerance(t *testing.T) {
	for _, c := range [][2]time.Duration{
		{time.Second, 1500 * time.Millisecond},
		{time.Minute, 90 * time.Second},
		{61 * time.Second, 90 * time.Second}, // more would be less, by the tenth
		{100 * time.Second, 110 * time.Second},
		{65535 * time.Second, 72088500 * time.Millisecond},
	} {
		if got := tolerated(c[0]); got != c[1] {
			t.Errorf("%v: %v, want %v", c[0], got, c[1])
		}
	}
}
