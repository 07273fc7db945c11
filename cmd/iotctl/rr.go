package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func newRR() *cobra.Command {
	return clientCommand(progRR, &cobra.Command{
		Use:   "rr -t topic -e topic (-m text | -f file | -s | -n) [options]",
		Short: "Send a request and print the response",
		Long: `Subscribes to the response topic, publishes a request that names it, and prints
the first response. In MQTT 5.0 the request carries correlation data, and
responses to somebody else's request are ignored.

Options are spelled as mosquitto_rr spells them. Called by that name, through a
link, the program behaves as mosquitto_rr does.`,
		Example: `  iotctl rr -t time/get -e time/reply/1 -n -W 2
  iotctl rr -t echo -e echo/reply -m hello --latency -W 500ms`,
	}, runRR)
}

const rrIncomplete = "All of topic, message, and response topic must be supplied."

// requester waits for the one response.
type requester struct {
	*engine
	out         *printer
	correlation []byte // nil: any response will do
	requested   time.Time
	got         chan error
}

func runRR(ctx context.Context, s *settings, t *terminal) error {
	if s.topic() == "" || s.mode == modeNone || s.responseTopic == "" {
		return fail(exitUsage, complaint(rrIncomplete), "iotctl rr -t TOPIC -e RESPONSE-TOPIC -m TEXT -W SECONDS", "iotctl rr --help")
	}
	if s.mode == modeLines {
		return usagef("-l: a request is one message; use -s")
	}
	payload, err := s.payload(t)
	if err != nil {
		return err
	}
	out, err := newPrinter(s, t)
	if err != nil {
		return err
	}
	r := &requester{out: out, got: make(chan error, 1)}
	if r.engine, err = newEngine(s, out.terminal(t), r.receive, nil); err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if err := r.connect(ctx); err != nil {
		return err
	}
	m := client.Message{Topic: s.topic(), Payload: payload, QoS: uint8(s.qos), Properties: r.properties()}
	err = r.exchange(ctx, m)
	r.Halt()
	_ = r.leave(r.farewell(err))
	return out.closeAfter(err)
}

// properties names the response topic and, unless mosquitto_rr is to be
// imitated, correlates request and response.
func (r *requester) properties() mqtt.Properties {
	p := r.s.properties["publish"]
	if r.s.version != mqtt.V5 {
		return nil
	}
	if !p.Has(mqtt.PropResponseTopic) {
		p = p.AppendString(mqtt.PropResponseTopic, r.s.responseTopic)
	}
	if r.s.peer {
		return p
	}
	if own, ok := p.Bytes(mqtt.PropCorrelationData); ok {
		r.correlation = own
		return p
	}
	r.correlation = []byte(rand.Text()[:16])
	return p.AppendBytes(mqtt.PropCorrelationData, r.correlation)
}

func (r *requester) exchange(ctx context.Context, m client.Message) error {
	codes, err := r.Subscribe(ctx, []client.Subscription{{Filter: r.s.responseTopic, QoS: uint8(r.s.qos)}}, r.s.properties["subscribe"])
	if err != nil {
		return r.failRequest(ctx, "subscribe", err)
	}
	if codes[0].IsError() && !r.s.peer {
		return fail(exitSubscriptionRefused, fmt.Errorf("subscription to %q refused: %s (0x%02x)", r.s.responseTopic, codes[0].Name(mqtt.TypeSuback, r.s.version), uint8(codes[0])))
	}
	refused := make(chan client.Outcome, 1)
	r.requested = time.Now()
	err = r.Publish(ctx, m, func(o client.Outcome) {
		if o.Kind == client.Refused {
			refused <- o
		}
	})
	if err != nil {
		if errors.As(err, new(*client.LimitError)) {
			return fail(exitPublishRefused, err)
		}
		return r.failRequest(ctx, "publish", err)
	}
	for {
		select {
		case err := <-r.got:
			return err
		case o := <-refused:
			if !r.s.peer {
				return fail(exitPublishRefused, fmt.Errorf("the broker refused the request: %s (0x%02x)", o.Code, uint8(o.Code)))
			}
		case <-ctx.Done():
			return failCause(ctx)
		case <-r.Done():
			return r.ended()
		}
	}
}

// receive prints the response and ends the run.
func (r *requester) receive(m client.Message) {
	if r.s.noRetained && m.Retain {
		return
	}
	if have, ok := m.Properties.Bytes(mqtt.PropCorrelationData); ok && r.correlation != nil && !bytes.Equal(have, r.correlation) {
		return
	}
	took := time.Since(r.requested)
	r.Halt()
	err := r.out.print(&m, time.Now())
	if isProblem(err) {
		if r.s.peer {
			r.out.complain(r.t, err)
			err = nil
		} else {
			err = fail(exitFailed, err)
		}
	}
	if err == nil && r.s.latency {
		err = r.out.line(fmt.Sprintf("Latency: %.6f s", took.Seconds()))
	}
	r.got <- err
}
