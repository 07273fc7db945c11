package psk

import (
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/authtest"
)

func TestContract(t *testing.T) {
	authtest.Run(t, authtest.Authenticator{
		New: func(*testing.T) auth.Authenticator { return New() },
		Allowed: map[string]auth.Credentials{
			"device-1": {PSKIdentity: "device-1", ClientID: "c1"},
			"device-2": {PSKIdentity: "device-2", ClientID: "device-1", HasUsername: true, Username: "device-2"},
		},
		Denied: map[string]auth.Credentials{
			"another name": {PSKIdentity: "device-1", HasUsername: true, Username: "device-2"},
			"no name":      {PSKIdentity: "device-1", HasUsername: true},
		},
		Ignored: map[string]auth.Credentials{
			"nothing":  {ClientID: "device-1"},
			"password": {ClientID: "c1", HasUsername: true, Username: "device-1", HasPassword: true, Password: []byte("x")},
		},
	})
}

func TestConcernsThoseWithAnIdentity(t *testing.T) {
	for c, want := range map[string]bool{"": false, "device-1": true} {
		if got := New().Concerns(auth.Credentials{PSKIdentity: c}); got != want {
			t.Errorf("%q: %v", c, got)
		}
	}
	if New().Knows("device-1") {
		t.Error("knows a name without a client")
	}
}
