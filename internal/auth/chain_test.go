package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is an authenticator and an authorizer that always says the same.
type answer struct {
	name    string
	verdict Verdict
	err     error
}

func (a answer) Authenticate(context.Context, Credentials) (Identity, Verdict, error) {
	return Identity{Name: a.name}, a.verdict, a.err
}

func (a answer) Authorize(context.Context, *Identity, Action, string) Verdict { return a.verdict }

func TestChain(t *testing.T) {
	broken := errors.New("out of order")
	ignore, deny := answer{verdict: Ignore}, answer{name: "no", verdict: Deny}
	allow, other := answer{name: "a", verdict: Allow}, answer{name: "b", verdict: Allow}
	creds := Credentials{ClientID: "c", HasUsername: true, Username: "root"}
	for _, c := range []struct {
		name    string
		chain   Chain
		id      Identity
		verdict Verdict
		err     error
	}{
		{"nobody to ask", nil, Identity{}, Deny, nil},
		{"nobody knows", Chain{ignore, ignore}, Identity{}, Deny, nil},
		{"first opinion allows", Chain{ignore, allow, deny}, Identity{Name: "a"}, Allow, nil},
		{"first opinion denies", Chain{ignore, deny, allow}, Identity{}, Deny, nil},
		{"first of two", Chain{other, allow}, Identity{Name: "b"}, Allow, nil},
		{"an error is not passed over", Chain{answer{verdict: Ignore, err: broken}, allow}, Identity{}, Deny, broken},
		{"an error beats allow", Chain{answer{name: "a", verdict: Allow, err: broken}}, Identity{}, Deny, broken},
		{"an unknown verdict denies", Chain{answer{name: "a", verdict: 7}, allow}, Identity{}, Deny, nil},
		{
			"anonymous comes last",
			Chain{ignore, Anonymous{}},
			Identity{Method: "anonymous", ClientID: "c", Username: "root"},
			Allow, nil,
		},
		{"anonymous does not overrule", Chain{deny, Anonymous{}}, Identity{}, Deny, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, v, err := c.chain.Authenticate(t.Context(), creds)
			if v != c.verdict || !errors.Is(err, c.err) {
				t.Errorf("%v, %v, want %v, %v", v, err, c.verdict, c.err)
			}
			if diff := cmp.Diff(c.id, id); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAuthorizers(t *testing.T) {
	ignore, deny, allow := answer{verdict: Ignore}, answer{verdict: Deny}, answer{verdict: Allow}
	for _, c := range []struct {
		name string
		as   Authorizers
		want Verdict
	}{
		{"none", nil, Allow},
		{"no match", Authorizers{ignore}, Deny},
		{"first opinion denies", Authorizers{ignore, deny, allow}, Deny},
		{"first opinion allows", Authorizers{ignore, allow, deny}, Allow},
		{"an unknown verdict denies", Authorizers{answer{verdict: 9}, allow}, Deny},
	} {
		if got := c.as.Authorize(t.Context(), &Identity{}, Publish, "a"); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestOwner(t *testing.T) {
	a, _, _ := Anonymous{}.Authenticate(t.Context(), Credentials{ClientID: "1", Username: "root"})
	b, _, _ := Anonymous{}.Authenticate(t.Context(), Credentials{ClientID: "2"})
	if a.Owner() != "" || b.Owner() != "" {
		t.Errorf("anonymous clients own sessions as %q and %q", a.Owner(), b.Owner())
	}
	if id := (&Identity{Name: "u", ClientID: "c", Username: "x"}); id.Owner() != "u" {
		t.Errorf("owner %q", id.Owner())
	}
}

type method string

func (m method) Method() string             { return string(m) }
func (m method) Begin(Credentials) Exchange { return nil }

func TestEnhancedMethods(t *testing.T) {
	ms := EnhancedMethods{method("A"), method("B")}
	if ms.Find("B") != method("B") || ms.Find("a") != nil || ms.Find("") != nil {
		t.Error("found the wrong method")
	}
	if err := ms.Validate(); err != nil {
		t.Error(err)
	}
	for _, ms := range []EnhancedMethods{{method("")}, {method("A"), method("A")}} {
		if ms.Validate() == nil {
			t.Errorf("%v is valid", ms)
		}
	}
}

func TestStrings(t *testing.T) {
	got := []string{Ignore.String(), Allow.String(), Deny.String(), Verdict(9).String(), Publish.String(), Subscribe.String(), Receive.String(), Action(9).String()}
	want := []string{"ignore", "allow", "deny", "verdict 9", "publish", "subscribe", "receive", "action 9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
