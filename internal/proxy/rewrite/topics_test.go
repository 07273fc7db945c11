package rewrite

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/router"
)

func topicsOf(t testing.TB, c Topics) *topics {
	t.Helper()
	p, err := Config{Topics: c}.compile()
	if err != nil {
		t.Fatal(err)
	}
	made, err := newTopics(p, names{"dev1", "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTopicsGoThereAndBack(t *testing.T) {
	for _, tt := range []struct {
		name           string
		c              Topics
		client, broker string // "" on one side: it has no name there
	}{
		{"prefix", Topics{Prefix: "tenants/%u/"}, "a/b", "tenants/ann/a/b"},
		{"prefix of a topic with an empty level", Topics{Prefix: "p/"}, "/a", "p//a"},
		{"prefix spares the broker's own", Topics{Prefix: "p/"}, "$SYS/x", "$SYS/x"},
		{"prefix within a topic that some brokers unwrap", Topics{Prefix: "p/"}, "$delayed/5/x", "$delayed/5/p/x"},
		{"strip within such a topic", Topics{Strip: "s/"}, "$queue/s/x", "$queue/x"},
		{"prefix that is not there", Topics{Prefix: "p/"}, "", "q/a"},
		{"prefix alone", Topics{Prefix: "p/"}, "", "p/"},
		{"strip", Topics{Strip: "site/%c/"}, "site/dev1/a", "a"},
		{"strip refuses other topics", Topics{Strip: "site/"}, "a", ""},
		{"strip makes none of the broker's own", Topics{Strip: "site/"}, "site/$SYS/a", ""},
		{"strip and prefix", Topics{Strip: "old/", Prefix: "new/"}, "old/a", "new/a"},
		{"map", Topics{Map: []Mapping{{From: "^a/(.*)$", To: "b/$1"}}}, "a/x/y", "b/x/y"},
		{"map leaves the rest alone", Topics{Map: []Mapping{{From: "^a/(.*)$", To: "b/$1"}}}, "c/x", "c/x"},
		{"map leaves no room for the broker's names at the client", Topics{Map: []Mapping{{From: "^a/(.*)$", To: "b/$1"}}}, "b/x", ""},
		{"map leaves no room for the client's names at the broker", Topics{Map: []Mapping{{From: "^a/(.*)$", To: "b/$1"}}}, "", "a/x"},
		{"map that swaps two names", Topics{Map: []Mapping{{From: "a/(.*)", To: "b/$1"}, {From: "b/(.*)", To: "a/$1"}}}, "b/x", "a/x"},
		{"map swaps levels", Topics{Map: []Mapping{{From: "([^/]+)/dev/([^/]+)", To: "dev/$2/of/$1"}}}, "x/dev/y", "dev/y/of/x"},
		{"map with names", Topics{Map: []Mapping{{From: "me/(.*)", To: "clients/%c/$1"}}}, "me/x", "clients/dev1/x"},
		{"map with a line break", Topics{Map: []Mapping{{From: "a/(.*)", To: "b/$1"}}}, "a/x\ny", "b/x\ny"},
		{"map by a way back of its own", Topics{Map: []Mapping{{
			From: "t/(in|out)door", To: "temperature/${1}side", Back: "temperature/(in|out)side", BackTo: "t/${1}door",
		}}}, "t/indoor", "temperature/inside"},
		{"first of several", Topics{Map: []Mapping{{From: "a/b", To: "x"}, {From: "a/(.*)", To: "y/$1"}}}, "a/b", "x"},
		{"second of several", Topics{Map: []Mapping{{From: "a/b", To: "x"}, {From: "a/(.*)", To: "y/$1"}}}, "a/c", "y/c"},
		{"map makes none of the broker's own", Topics{Map: []Mapping{{From: "a/(.*)", To: "$1"}}}, "a/$SYS/x", ""},
		{"map, then prefix", Topics{Prefix: "p/", Map: []Mapping{{From: "a/(.*)", To: "b/$1"}}}, "a/x", "p/b/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := topicsOf(t, tt.c)
			if tt.client != "" {
				if got, err := m.toServer(tt.client); got != tt.broker || (err != nil) != (tt.broker == "") {
					t.Errorf("%q becomes %q, %v, want %q", tt.client, got, err, tt.broker)
				}
			}
			if tt.broker != "" {
				if got, err := m.toClient(tt.broker); got != tt.client || (err != nil) != (tt.client == "") {
					t.Errorf("%q becomes %q, %v, want %q", tt.broker, got, err, tt.client)
				}
			}
		})
	}
}

// With the prefix "%c/", a client that calls itself "$share" would get everything.
func TestNamesThatBeginWithADollarAreNoPrefix(t *testing.T) {
	for _, c := range []Topics{{Prefix: "%c/"}, {Prefix: "%u/x/"}, {Strip: "%c/"}} {
		p, err := Config{Topics: c}.compile()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newTopics(p, names{"$share", "$SYS"}); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestFilters(t *testing.T) {
	prefix := Topics{Prefix: "p/q/"}
	strip := Topics{Strip: "old/x/"}
	mapped := Topics{Map: []Mapping{
		{From: "^site/([^/]+)/temp$", To: "temp/$1"},
		{From: "^n/([0-9]+)$", To: "number/$1", Back: "number/([0-9]+)", BackTo: "n/$1"},
		{From: "^deep/(.*)$", To: "low/$1"},
	}}
	for _, tt := range []struct {
		c            Topics
		filter, want string // "": refused
	}{
		{mapped, "temp/kitchen", ""}, // what it matches would come as site/kitchen/temp
		{mapped, "low/#", ""},
		{prefix, "#", "p/q/#"},
		{prefix, "$queue/#", "$queue/p/q/#"},
		{prefix, "$exclusive/a", "$exclusive/p/q/a"},
		{prefix, "$share/g/$queue/a", "$share/g/$queue/p/q/a"},
		{prefix, "+/a", "p/q/+/a"},
		{prefix, "$share/g/a/#", "$share/g/p/q/a/#"},
		{prefix, "$SYS/#", "$SYS/#"},
		{prefix, "$share/g/$SYS/#", "$share/g/$SYS/#"},
		{prefix, "a/#/b", ""},
		{strip, "old/x/#", "#"},
		{strip, "#", "#"},
		{strip, "old/#", "#"},
		{strip, "+/+/a", "a"},
		{strip, "old/+/+", "+"},
		{strip, "old/x", ""},
		{strip, "other/#", ""},
		{strip, "old/x/$SYS/#", ""},
		{strip, "$share/g/old/x/a", "$share/g/a"},
		{mapped, "site/a/temp", "temp/a"},
		{mapped, "site/+/temp", "temp/+"},
		{mapped, "site/#", ""},
		{mapped, "site/a/#", ""},
		{mapped, "+/a/temp", ""},
		{mapped, "#", ""},
		{mapped, "n/7", "number/7"},
		{mapped, "n/x", "n/x"},
		{mapped, "n/+", ""},
		{mapped, "deep/#", "low/#"},
		{mapped, "deep/+/a/#", "low/+/a/#"},
		{mapped, "$share/g/deep/#", "$share/g/low/#"},
		{mapped, "free/#", "free/#"},
		{mapped, "free/+/temp", "free/+/temp"},
	} {
		got, err := topicsOf(t, tt.c).filter(tt.filter)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%+v: %q becomes %q, %v, want %q", tt.c, tt.filter, got, err, tt.want)
		}
	}
}

// FuzzFilters holds filters to names: what a filter of the client matches, and only
// that, is what its form on the broker's side matches.
func FuzzFilters(f *testing.F) {
	f.Add("site/+/temp", "site/a/temp")
	f.Add("deep/#", "deep/a/b")
	f.Add("old/+/#", "old/x/a")
	f.Add("+/a", "b/a")
	f.Add("#", "p/a")
	sets := []Topics{
		{Prefix: "p/"},
		{Strip: "old/x/"},
		{Strip: "old/", Prefix: "new/"},
		{Map: []Mapping{{From: "site/([^/]+)/temp", To: "temp/$1/of"}, {From: "deep/(.+)", To: "low/$1"}}},
	}
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if router.ValidateFilter(filter) != nil || router.ValidateName(topic) != nil || strings.HasPrefix(filter, "$share") {
			t.Skip()
		}
		for _, c := range sets {
			m := topicsOf(t, c)
			there, err := m.toServer(topic)
			if err != nil {
				continue
			}
			back, err := m.toClient(there)
			if err != nil || back != topic {
				continue // two names of the client for one of the broker: the expressions are to blame
			}
			mapped, err := m.filter(filter)
			if err != nil {
				continue
			}
			// "a/#" is "a", too, and ".+" and "[^/]+" know no empty level: edges that
			// no filter has a form for.
			if strings.HasSuffix(filter, "#") && strings.TrimSuffix(filter, "/#") == topic || strings.Contains(topic, "//") ||
				strings.HasSuffix(topic, "/") || strings.HasPrefix(topic, "/") {
				continue
			}
			if router.Match(filter, topic) != router.Match(mapped, there) {
				t.Fatalf("%+v: %q matches %q: %v; %q matches %q: %v", c, filter, topic, router.Match(filter, topic), mapped, there, router.Match(mapped, there))
			}
		}
	})
}

func TestNamesThatAreNoLevelsAreRefused(t *testing.T) {
	p, err := Config{Topics: Topics{Prefix: "clients/%c/"}}.compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "a/b", "+", "#", "a\x00"} {
		if m, err := newTopics(p, names{client: id}); err == nil {
			t.Errorf("%q: %+v", id, m)
		}
	}
}

func TestConfigNamesItsProblems(t *testing.T) {
	three := uint8(3)
	c := Config{
		Topics: Topics{Prefix: "a", Strip: "$x/", Map: []Mapping{
			{From: "(", To: "a"},
			{From: "a/(b|c)", To: "d/$1"},
			{From: "a/(.*)", To: "b/$1x"},
			{From: "a/(.*)", To: "b/$2"},
			{From: "a", To: "b", Back: "b"},
		}},
		ClientID:    "%x",
		Credentials: Credentials{PasswordFile: "a", PasswordEnv: "B"},
		Publish:     Message{MaxQoS: &three, MinQoS: 3, Retain: "x"},
		KeepAlive:   1,
		UserProperties: []UserProperty{
			{Direction: "up", Name: "n"}, {Types: []string{"PINGREQ"}, Name: "n"}, {}, {Name: "n", Value: "v", Remove: true},
		},
	}
	err := c.Validate()
	for _, want := range []string{
		`topics.prefix: "a" is no whole levels: want "a/"`, "topics.strip:", "topics.map[0].from", "topics.map[1].back", "topics.map[2].from",
		"topics.map[3].from", "topics.map[4].back", "client_id", "credentials.password_env", "publish.max_qos", "publish.retain",
		"keep_alive", "user_properties[0].direction", "user_properties[1].types", "user_properties[2].name", "user_properties[3].value",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if f, err := New(Config{}); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
}
