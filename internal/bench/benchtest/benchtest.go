// Package benchtest is the suite for scenarios of internal/bench: each runs
// against a broker in this process, over real sockets.
package benchtest

import (
	"bytes"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
)

// Run holds each scenario to what all of them promise: it does something and
// ends by itself, an undisturbed run is without loss, repetition and failure,
// nothing is left behind at the broker, and its record can be read.
func Run(t *testing.T, specs []bench.Spec) {
	for _, spec := range specs {
		t.Run(spec.Name, func(t *testing.T) {
			t.Parallel()
			for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
				scenario(t, spec, v)
			}
		})
	}
}

func scenario(t *testing.T, spec bench.Spec, v mqtt.Version) {
	server := servetest.Start(t, func(c *serve.Config) {
		c.Listeners[0].MaxConnRate = -1
		if spec.Device != "" {
			c.Listeners = append(c.Listeners, serve.Listener{URL: spec.Device + "://127.0.0.1:0/" + spec.Codec, ListenConfig: transport.ListenConfig{MaxConnRate: -1}})
		}
	})
	e, err := transport.Parse(server.URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	o := bench.Options{Spec: spec, Endpoint: e}
	if spec.Device != "" {
		if o.Devices, err = transport.Parse(server.URLs()[1], servetest.Builtin().Schemes()); err != nil {
			t.Fatal(err)
		}
	}
	if spec.Codec != "" {
		if o.Codec, err = frame.Open(spec.Codec); err != nil {
			t.Fatal(err)
		}
	}
	var record bytes.Buffer
	o.Record = &record
	o.Plan = bench.Plan{
		Version: v, QoS: -1, SubQoS: -1, Clients: 6, Publishers: 6, Subscribers: 4, Topics: 2, Rate: 100, ConnRate: 10_000,
		Warmup: 100 * time.Millisecond, Duration: 400 * time.Millisecond, Drain: 2 * time.Minute,
	}
	f, err := bench.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	n := f.Total
	if f.Ended != "complete" || n.Connects < 6 || n.ConnectFails+n.Disconnects+n.SubscribeFail+n.AckFails+n.OperationFail+n.Corrupted > 0 {
		t.Errorf("MQTT %v: %s, %+v", v, f.Ended, n)
	}
	sum := f.Account.Sum()
	if sum.Lost+sum.Duplicated+sum.Reordered+sum.Corrupted+f.Account.Unsent+f.Account.Unacked > 0 {
		t.Errorf("MQTT %v: %+v", v, f.Account)
	}
	idle := sum.Sent+n.Operations == 0
	if waits := spec.Name == "sub" || spec.Name == "conn" || spec.Name == "mqttbs/conn" || spec.Name == "mqttbs/conn-enterprise"; idle != waits {
		t.Errorf("MQTT %v: %+v, %+v", v, n, sum)
	}
	res, err := bench.ReadResult(&record)
	if err != nil || res.Final == nil || res.Header.Plan.Scenario != spec.Name || len(res.Intervals) == 0 {
		t.Errorf("MQTT %v: record: %+v, %v", v, res, err)
	}
	if err := server.Close(); err != nil { // every connection has ended
		t.Error(err)
	}
}
