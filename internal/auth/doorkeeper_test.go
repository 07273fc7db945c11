package auth

import (
	"context"
	"testing"
	"time"
)

// porter is a doorkeeper that lets everybody in.
type porter struct{ answer }

func (porter) TakeOver(Doorkeeper, func(string) bool) {}
func (porter) Revoked(time.Time) []Identity           { return nil }

// phoneBook knows who is in it, and lets nobody in without a password.
type phoneBook map[string]bool

func (b phoneBook) Knows(name string) bool      { return b[name] }
func (b phoneBook) Concerns(c Credentials) bool { return c.HasUsername && b[c.Username] }

func (b phoneBook) Authenticate(_ context.Context, c Credentials) (Identity, Verdict, error) {
	if b[c.Username] && c.HasPassword {
		return Identity{Name: c.Username}, Allow, nil
	}
	return Identity{}, Deny, nil
}

func TestStrangersComeToTheDoorkeeper(t *testing.T) {
	chain := Chain{answer{verdict: Ignore}, phoneBook{"ann": true}}
	door := chain.Before(porter{answer{name: "stranger", verdict: Allow}})
	for _, c := range []struct {
		name  string
		creds Credentials
		want  string // who is let in, "" for nobody
	}{
		{"known", Credentials{HasUsername: true, Username: "ann", HasPassword: true}, "ann"},
		{"known, without the password", Credentials{HasUsername: true, Username: "ann"}, ""},
		{"unknown", Credentials{HasUsername: true, Username: "bob", HasPassword: true}, "stranger"},
		{"no name", Credentials{HasPassword: true}, "stranger"},
		{"a name that is not presented", Credentials{Username: "ann"}, "stranger"},
	} {
		id, v, err := door.Authenticate(t.Context(), c.creds)
		if err != nil || (v == Allow) != (c.want != "") || id.Name != c.want {
			t.Errorf("%s: %q, %v, %v", c.name, id.Name, v, err)
		}
	}
	if _, v, _ := chain.Authenticate(t.Context(), Credentials{HasUsername: true, Username: "bob"}); v != Deny {
		t.Error("the chain has been changed")
	}
	if !chain.Knows("ann") || chain.Knows("bob") {
		t.Error("who is known?")
	}
	if _, v, _ := (Chain{answer{verdict: Deny}}).Before(porter{}).Authenticate(t.Context(), Credentials{}); v != Deny {
		t.Error("a refusal comes to the doorkeeper")
	}
}

func TestPendingIsFitForTheClient(t *testing.T) {
	for code, want := range map[string]string{
		"48-21": "pending approval, code 48-21",
		"":      "pending approval: too many devices wait, try again later",
	} {
		if got := (&Pending{Code: code}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
