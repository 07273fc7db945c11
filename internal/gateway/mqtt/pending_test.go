package mqtt_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

// queue lets nobody in before an operator has been asked.
type queue struct {
	mu   sync.Mutex
	seen []string
}

func (q *queue) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen = append(q.seen, c.ClientID)
	return auth.Identity{}, auth.Deny, &auth.Pending{Code: "48-21"}
}

func TestClientsThatWaitForApprovalLearnTheirCode(t *testing.T) {
	for _, hide := range []bool{false, true} {
		var log bytes.Buffer
		q := &queue{}
		t.Run(fmt.Sprintf("hide_reasons %v", hide), func(t *testing.T) {
			s := start(t, broker.Config{}, gw.Config{
				Authenticator: q, HideReasons: hide, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			askInAllVersions(t, s.addr)
			r := dial(t, s.addr, mqtt.V5)
			r.send(mqtt.Connect{Version: mqtt.V5, CleanStart: true})
			expect[mqtt.Connack](r)
			r.closed()
		})
		if strings.Contains(log.String(), "ERROR") || strings.Contains(log.String(), "connection ended") {
			t.Errorf("the log has what the authenticator tells:\n%s", log.String())
		}
		if last := q.seen[len(q.seen)-1]; last != "" {
			t.Errorf("an identifier that the broker has made up is taken for the client's: %q", last)
		}
	}
}

func askInAllVersions(t *testing.T, addr string) {
	t.Helper()
	for _, c := range []struct {
		version mqtt.Version
		props   mqtt.Properties
		code    mqtt.ReasonCode
		reason  string
	}{
		{mqtt.V5, nil, mqtt.NotAuthorized, "pending approval, code 48-21"},
		{mqtt.V5, mqtt.Properties(nil).AppendByte(mqtt.PropRequestProblemInformation, 0), mqtt.NotAuthorized, "pending approval, code 48-21"},
		{mqtt.V311, nil, mqtt.V3NotAuthorized, ""},
		{mqtt.V31, nil, mqtt.V3NotAuthorized, ""},
	} {
		r := dial(t, addr, c.version)
		r.send(mqtt.Connect{
			Version: c.version, ClientID: "pump", CleanStart: true, Properties: c.props,
			HasUsername: true, Username: "u", HasPassword: true, Password: []byte("p"),
		})
		ack := expect[mqtt.Connack](r)
		reason, _ := ack.Properties.String(mqtt.PropReasonString)
		if ack.Code != c.code || reason != c.reason {
			t.Errorf("%v: %v %q", c.version, ack.Code, reason)
		}
		if more := r.closed(); len(more) > 0 {
			t.Errorf("%v: %v after the refusal", c.version, more)
		}
	}
}
