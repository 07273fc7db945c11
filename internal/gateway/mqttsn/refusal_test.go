package mqttsn

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// brokenDoor is an authenticator that cannot tell who anybody is.
type brokenDoor struct{}

// Authenticate implements auth.Authenticator.
func (brokenDoor) Authenticate(context.Context, auth.Credentials) (auth.Identity, auth.Verdict, error) {
	return auth.Identity{}, auth.Deny, errors.New("the directory is away")
}

func TestClientsTryAgainWhereTheAuthenticatorFails(t *testing.T) {
	w := newWorld(t, nil)
	w.gw.auth = brokenDoor{}
	a := peerAddress("a")
	w.receive(a, datagram(t, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "dev"}))
	want := datagram(t, mqttsn.Connack{Code: mqttsn.Congestion})
	if got, ok := w.air.next(a); !ok || !bytes.Equal(got, want) {
		t.Errorf("answered %x, want %x", got, want)
	}
}

func TestTheLogTellsWhatClientsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	var log bytes.Buffer
	w.gw.log = slog.New(slog.NewTextHandler(&log, nil))
	w.rules.deny("publish", "aa")
	w.rules.deny("subscribe", "secret/#")
	a := peerAddress("a")
	w.receive(a, datagram(t, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "dev"}))
	for id := range uint16(1000) {
		w.receive(a, datagram(t, mqttsn.Publish{QoS: 1, Kind: mqttsn.ShortTopic, TopicID: 0x6161, MsgID: id + 1}))
	}
	if n := strings.Count(log.String(), `msg="request refused" client=dev what=publish topic=aa err="not authorized"`); n == 0 || n > 10 {
		t.Errorf("%d lines for 1000 messages:\n%.2000s", n, log.String())
	}
	log.Reset()
	w.advance(refusalLines.Per)
	w.receive(a, datagram(t, mqttsn.Subscribe{MsgID: 1, Filter: "secret/#"}))
	if !strings.Contains(log.String(), "what=subscribe topic=secret/#") {
		t.Errorf("log: %s", log.String())
	}
}
