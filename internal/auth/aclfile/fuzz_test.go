package aclfile

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/router"
)

// FuzzParse holds what was compiled to a line by line reading.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample), "home/safe", "alice", "c1")
	f.Add([]byte("pattern deny x/%u\npattern #"), "x/+", "+", "")
	f.Add([]byte("\ufefftopic\r\n"), "", "", "")
	f.Fuzz(func(t *testing.T, b []byte, topic, user, client string) {
		lines, err := parse("f", b)
		if err != nil {
			if lines != nil {
				t.Fatal("lines beside an error")
			}
			return
		}
		if router.ValidateName(topic) != nil {
			return
		}
		file := &File{}
		file.rules.Store(compile(lines))
		id := &auth.Identity{Name: user, ClientID: client}
		var said access
		for _, l := range lines {
			if l.pattern || l.user == user {
				said |= slowly(l, id, topic)
			}
		}
		for act, wanted := range map[auth.Action]access{auth.Publish: write, auth.Receive: read} {
			want := auth.Deny
			if said&wanted != 0 && said&deny == 0 {
				want = auth.Allow
			}
			if got := file.Authorize(t.Context(), id, act, topic); got != want {
				t.Fatalf("%v of %q by %q, %q: %v, want %v", act, topic, user, client, got, want)
			}
		}
		// Who may subscribe to a topic alone may receive it, and the other way
		// round.
		sub := file.Authorize(t.Context(), id, auth.Subscribe, topic)
		_, _, shared, err := router.SplitShared(topic)
		if receive := file.Authorize(t.Context(), id, auth.Receive, topic); !shared && err == nil && sub != receive {
			t.Fatalf("subscribe to %q: %v, receive: %v", topic, sub, receive)
		}
	})
}

// slowly is what l says about topic.
func slowly(l line, id *auth.Identity, topic string) access {
	levels := strings.Split(l.filter, "/")
	names := map[string]string{clientLevel: id.ClientID, userLevel: id.Name}
	for i := 0; l.pattern && i < len(levels); i++ {
		name, ok := names[levels[i]]
		switch {
		case !ok:
			continue
		case name == "":
			return 0
		case !strings.ContainsAny(name, "+#/\x00"):
			levels[i] = name
			continue
		case l.access != deny || strings.Contains(l.filter, userLevel) && id.Name == "" ||
			strings.Contains(l.filter, clientLevel) && id.ClientID == "":
			return 0
		case i == 0:
			return deny
		}
		levels = append(levels[:i:i], "+", "#") // whatever the name is
	}
	if router.Match(strings.Join(levels, "/"), topic) {
		return l.access
	}
	return 0
}
