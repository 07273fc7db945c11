package pairing

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	b := open(t, Config{})
	var bad *NameError
	for id, o := range map[string]Approval{
		"taken": {}, "a\x1b[2J": {}, "x": {Name: "\u202e"}, "y": {Name: strings.Repeat("n", 257)}, "z": {Name: "\xff"},
	} {
		code := b.waits(secret(id, "s"))
		if _, err := b.Approve(code, o); !errors.As(err, &bad) {
			t.Errorf("%q as %q: %v", id, o.Name, err)
		}
		if strings.ContainsFunc(bad.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", bad)
		}
	}
	code := b.waits(secret("admin", "s"))
	b.approve(code, Approval{})
	b.want(secret("admin", "s"), "allow device:admin")
	b.approve(code, Approval{Name: "admin"})
	b.want(secret("admin", "s"), "allow admin")
	b.approve(code, Approval{Name: "ann", For: time.Hour})
	b.want(secret("admin", "s"), "allow ann")
	if got := b.Revoked(b.clock.now()); len(got) != 2 || got[0].Name != "device:admin" || got[1].Name != "admin" {
		t.Errorf("%+v", got)
	}
	there := secret("twin", "s")
	there.Listener = "other"
	b.approve(b.waits(secret("twin", "s")), Approval{})
	code = b.waits(there)
	if _, err := b.Approve(code, Approval{}); !errors.As(err, &bad) {
		t.Errorf("two devices are one user: %v", err)
	}
	b.approve(code, Approval{Name: "device:twin"})
}

// TestDevicesDoNotChooseTheirUserName: whoever decides by user names, as the
// owners of certificates do, is not named by a stranger.
func TestDevicesDoNotChooseTheirUserName(t *testing.T) {
	long := strings.Repeat("x", maxNameBytes)
	for _, id := range []string{"boss", "device:boss", "admin", long} {
		b := open(t, Config{})
		if err := b.Open(time.Minute, 1, ""); err != nil {
			t.Fatal(err)
		}
		b.want(secret(id, "s"), "allow device:"+id)
		b = open(t, Config{})
		b.approve(b.waits(secret(id, "s")), Approval{})
		b.want(secret(id, "s"), "allow device:"+id)
	}
}

func TestFind(t *testing.T) {
	b := open(t, Config{})
	code := b.waits(secret("dev", "1"))
	b.waits(secret("dev", "2"))
	b.waits(secret("d\u0435v", "1")) // Cyrillic
	other := secret("dev", "1")
	other.Listener = "other"
	b.waits(other)
	b.waits(secret(code, "1")) // calls itself what the operator will type
	for _, c := range []struct {
		what, listener string
		want           int
	}{
		{"dev", "", 3},
		{"dev", "field", 2},
		{`d\u0435v`, "", 1},
		{"d\u0435v", "", 1},
		{code, "", 1},
		{code, "other", 0},
		{"nobody", "", 0},
	} {
		if got := b.Find(c.what, c.listener); len(got) != c.want {
			t.Errorf("%s at %q: %+v", c.what, c.listener, got)
		}
	}
	if got := b.Find(code, ""); got[0].Client != "dev" {
		t.Errorf("%+v", got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"pump-7":        "pump-7",
		"a b":           `a\x20b`,
		`a\b`:           `a\\b`,
		"\x1b[31m\n":    `\x1b[31m\x0a`,
		"p\u0430ypal":   `p\u0430ypal`, // Cyrillic
		"evil\u202egnp": `evil\u202egnp`,
		"\u200b":        `\u200b`,
		"\uff41":        `\uff41`, // full width
		"\U0001d41a":    `\U0001d41a`,
		"\xff":          `\xff`,
		"\ufffd":        `\ufffd`,
		"\x7f\u0085":    `\x7f\u0085`,
		"caf\u00e9":     `caf\u00e9`,
		"cafe\u0301":    `cafe\u0301`,
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
