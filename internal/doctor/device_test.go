package doctor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/doctor"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

func TestTimeIsBounded(t *testing.T) {
	u := "mqtt://" + listen(t, func(c net.Conn) {
		if _, ok := connect(c); ok {
			_, _ = c.Write([]byte{0x20, 3, 0, 0, 0}) // and nothing else, ever
			_, _ = io.Copy(io.Discard, c)
		}
	})
	r := examine(t, u, func(c *doctor.Config) {
		c.CheckTimeout, c.Timeout, c.Version = 150*time.Millisecond, 4500*time.Millisecond, mqtt.V5
	})
	if got := result(t, r, "qos0"); got.Verdict != doctor.Failed || got.Cause != doctor.Timeout {
		t.Errorf("%+v", got)
	}
	if got := result(t, r, "id"); got.Verdict != doctor.Skipped || got.Summary != "out of time" {
		t.Errorf("%+v", got)
	}
	if !errors.Is(r.Stopped, context.DeadlineExceeded) {
		t.Error(r.Stopped)
	}
}

func TestADeviceLogsInAndNothingElseIsChecked(t *testing.T) {
	u := servetest.Start(t, nil).URLs()[0]
	for name, login := range map[string]func(context.Context) error{
		"in":      func(context.Context) error { return nil },
		"refused": func(context.Context) error { return &client.RefusedError{Reason: "no"} },
	} {
		r := examine(t, u, func(c *doctor.Config) {
			c.Device = &doctor.Device{Name: "a protocol", Login: login, Try: "iotctl sub other://host"}
		})
		got := result(t, r, "login")
		if name == "in" && (got.Verdict != doctor.OK || !strings.Contains(got.Hint, "is not checked")) || name == "refused" && got.Cause != doctor.Refused {
			t.Errorf("%+v", got)
		}
		if x := result(t, r, "qos0"); x.Verdict != doctor.Skipped || x.Summary != "this is for MQTT, and not for a protocol" {
			t.Errorf("%+v", x)
		}
	}
}
