package mqtt_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

func TestRefusalsAreLoggedOnceAMinute(t *testing.T) {
	log := &logbook{}
	logger := slog.New(slog.NewTextHandler(log, nil)) // info, as by default
	s := start(t, broker.Config{Authorizer: deny{auth.Publish, "forbidden"}}, gw.Config{Logger: logger})
	r := dial(t, s.addr, mqtt.V311)
	if ack := r.connect(mqtt.Connect{ClientID: "c", CleanStart: true}); ack.Code != mqtt.Success {
		t.Fatal(ack.Code)
	}
	for range 5 {
		r.publish(pub("forbidden", "x", 1))
	}
	lines := log.about("request refused")
	if len(lines) != 1 || !strings.Contains(lines[0], "level=INFO") || !strings.Contains(lines[0], "what=publish") || !strings.Contains(lines[0], "topic=forbidden") || !strings.Contains(lines[0], "client=c") {
		t.Errorf("%q", lines)
	}
	r.send(mqtt.Disconnect{})
	r.closed()
	if l := log.about("more was refused"); len(l) != 1 || !strings.Contains(l[0], "count=4") {
		t.Errorf("%q", l)
	}
}
