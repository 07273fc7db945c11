package broker

import (
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
)

func TestDisconnectByAnOperator(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		s := attach(t, b, durable("s"))
		if !b.Disconnect("s", ReasonAdministrative) || b.Disconnect("x", ReasonAdministrative) {
			t.Error("found the wrong client")
		}
		s.wantClosed(ReasonAdministrative)
		s.lose()
		if b.Disconnect("s", ReasonAdministrative) {
			t.Error("found a connection that is gone")
		}
	})
}

func TestRevokeEndsWhatAMethodHasLetIn(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, b *Broker) {
		join := func(session string, id auth.Identity) *client {
			c := &client{t: t, b: b, room: never}
			l, _, err := b.Attach(t.Context(), id, options(session), c)
			if err != nil {
				t.Fatal(err)
			}
			c.l = l
			return c
		}
		id := auth.Identity{Name: "n", Method: "m", ClientID: "d", Username: "u"}
		plain, elsewhere := join("d", id), join("text\x00d", id)
		other, name, method := id, id, id
		other.ClientID, name.Name, method.Method = "e", "o", "p"
		others := []*client{join("1", other), join("2", name), join("3", method)}
		id.Username = "" // which it need not know
		if n := b.Revoke([]auth.Identity{id}); n != 2 {
			t.Errorf("%d ended", n)
		}
		plain.wantClosed(ReasonAdministrative)
		elsewhere.wantClosed(ReasonAdministrative)
		for _, c := range others {
			if c.closed != nil {
				t.Errorf("%+v is ended, too", c.l.Identity())
			}
		}
	})
}
