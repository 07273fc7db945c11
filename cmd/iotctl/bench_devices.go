package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/frame"
	gatewaymqttsn "github.com/iotctl/iotctl/internal/gateway/mqttsn"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// This file is about scenarios with clients that speak another protocol than
// MQTT.

// listeners are those of --serve.
func (r *benchRun) listeners() []serve.Listener {
	unbounded := transport.ListenConfig{MaxConnRate: -1, MaxConnections: -1}
	all := []serve.Listener{{URL: "mqtt://127.0.0.1:0", ListenConfig: unbounded}}
	if d := r.opts.Spec.Device; d != "" {
		url := d + "://127.0.0.1:0"
		if r.opts.Codec != nil {
			url += "/" + r.opts.Codec.Name()
		}
		all = append(all, serve.Listener{URL: url, ListenConfig: unbounded})
	}
	return all
}

// gateways are the settings that devices of --serve need.
func (r *benchRun) gateways() map[string]any {
	if r.opts.Spec.Device != gatewaymqttsn.Protocol {
		return nil
	}
	p := r.o.plan
	if r.opts.Spec.Defaults != nil {
		r.opts.Spec.Defaults(&p)
	}
	c := gatewaymqttsn.Config{QoSMinusOne: gatewaymqttsn.QoSMinusOne{Enabled: true}}
	if id := p.Option("mqttsn-pub.predefined", 0); id > 0 {
		c.Predefined = []gatewaymqttsn.Predefined{{ID: uint16(id), Topic: p.Topic}}
	}
	return map[string]any{gatewaymqttsn.Protocol: c}
}

// codec is what devices speak, nil where the scenario says it.
func (r *benchRun) codec() (*frame.Codec, error) {
	name := r.o.codec
	switch usual := r.opts.Spec.Codec; {
	case usual == "" && name != "":
		return nil, usagef("--codec: the clients of %s speak a protocol of their own", r.opts.Spec.Name)
	case name == "":
		name = usual
	}
	if name == "" {
		return nil, nil
	}
	c, err := frame.Open(name)
	if err == nil {
		return c, nil
	}
	src, missing := os.ReadFile(name)
	switch {
	case missing != nil && !strings.ContainsAny(name, "./\\"):
		return nil, fail(exitUsage, fmt.Errorf("--codec: %w", err), "iotctl codec list")
	case missing != nil:
		return nil, usagef("--codec: %w", missing)
	case r.o.serve:
		return nil, usagef("--codec %s: the broker of --serve has the codecs of the program, and no files", name)
	}
	if c, err = frame.Parse(name, src); err != nil {
		return nil, usagef("--codec: %w", err)
	}
	return c, nil
}

// devices is where those of the scenario connect to: --devices, or the usual port
// at the broker's host.
func (r *benchRun) devices(broker transport.Endpoint) (transport.Endpoint, error) {
	scheme, url := r.opts.Spec.Device, r.o.devices
	switch {
	case scheme == "" && url != "":
		return transport.Endpoint{}, usagef("--devices: %s has no devices, only MQTT clients", r.opts.Spec.Name)
	case scheme == "":
		return transport.Endpoint{}, nil
	case url == "" && broker.Host == "":
		return transport.Endpoint{}, fail(exitUsage, errors.New("where do the devices connect to?"), "--devices "+scheme+"://HOST")
	case url == "":
		url = scheme + "://" + net.JoinHostPort(broker.Host, "")
	}
	e, err := transport.Parse(url, builtin().Schemes())
	if err != nil {
		return e, usagef("--devices: %w", err)
	}
	if want, err := transport.Parse(scheme+"://h", builtin().Schemes()); err == nil && want.Scheme.Protocol != e.Scheme.Protocol {
		return e, usagef("--devices: the devices of %s speak %s, not %s", r.opts.Spec.Name, want.Scheme.Protocol, e.Scheme.Protocol)
	}
	return e, nil
}
