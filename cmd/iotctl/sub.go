package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

func newSub() *cobra.Command {
	return clientCommand(progSub, &cobra.Command{
		Use:   "sub [url] -t filter... [options]",
		Short: "Subscribe and print messages",
		Long: `Subscribes to topic filters and prints the messages that arrive: the payload
and a newline, -v the topic before it, -F a format of your own, -o jsonl a JSON
object that loses nothing, --jq, --template and -o csv what you choose of that.
When the connection breaks it connects again.

It ends by itself with -C, -W, -E, and with what it waits for:

  --until EXPR     code 0 at the first message for which the jq expression is
                   true, that is, gives anything but false and null
  --fail-on EXPR   code 13 at such a message
  --expect N       code 0 when N messages have come
  --within TIME    the time for these, from the answer to the subscription on
  --idle TIME      when nothing has come for so long, counted from the answer
                   to the subscription at first, and not without a connection

A message is asked about --fail-on first, then --until, --expect and -C. One of
which an expression is true is shown even if --changes hides it. Expressions see
the object of -o jsonl; one that fails on a message is not true, and says so
once. When --until or --expect are there and the run ends without them, by
--within, --idle, -C or --retained-only, the code is 27; without them these end
it with 0. -W is always 27. Messages that -T and -R leave out count nowhere;
those that --changes hides do, but for -C. What came before the end is shown,
and at QoS 1 and 2 acknowledged; what comes behind it is neither, so a session
of -c has it the next time.

Options are spelled as mosquitto_sub spells them. Called by that name, through
a link, the program behaves as mosquitto_sub does.

Default options are read from iotctl/sub in $XDG_CONFIG_HOME or ~/.config, one
to a line, from a profile (--profile; see iotctl help profiles) and from variables
like IOTCTL_URL and IOTCTL_PASSWORD, one for each option (iotctl help environment).
The command line wins over the environment, that over the profile, and that over
the file.

With a URL of another protocol than MQTT it speaks as a device of that, and
options that the protocol cannot express are refused:

  emqtcp://HOST, emqtcps://HOST  the EMQ private TCP protocol, ports 8090 and
                                 8091: prints what is sent to the device -i
  text://HOST, texts://HOST      the text protocol, ports 8071 and 8871: prints
                                 the values of the variables -t, and messages
                                 to the device -i, whose topic is dev/ID with
                                 the sender's
  mqttsn://HOST                  MQTT-SN 1.2 over UDP, port 1884
  mqttsns://HOST                 the same over DTLS, port 8883, with certificates
                                 or a pre-shared key (--psk-file, IOTCTL_PSK).
                                 With --sleep it sleeps, and asks for what has
                                 come meanwhile. After a lost connection it
                                 subscribes again, and retained messages come
                                 again: no gateway tells what it has kept.
                                 A predefined topic without a name is called
                                 by its number, as in #17.`,
		Example: `  iotctl sub -t 'sensors/#' -v
  iotctl sub -t 'sensors/+' -o jsonl -C 10 -W 5
  iotctl sub -t '#' -F '@H:@M:@S %t %l bytes: %x'
  iotctl sub -t 'sensors/#' --retained-only --remove-retained -W 1
  iotctl sub -t 'sensors/#' --jq '.payload.temp'
  iotctl sub -t 'sensors/#' -o csv --columns 'time,topic[1],payload.temp' --idle 2s
  iotctl sub -t 'sensors/#' --changes -v
  iotctl sub -t 'config/#' --diff
  iotctl sub -t 'jobs/7/state' --until '.payload == "done"' --fail-on '.payload == "failed"' --within 10m
  iotctl sub -t 'sensors/#' --expect 3 --within 500ms
  iotctl sub emqtcp://localhost -i dev1
  iotctl sub text://localhost -i dev2 -t temp -v
  iotctl sub mqttsn://localhost -t 'sensors/#' -q 1 -v
  iotctl sub mqttsn://localhost --predefined 17=sensors/1 -v
  iotctl sub mqttsn://localhost -i dev1 -c -t 'cmd/dev1/#' -q 1 --sleep 600 --wake-every 60`,
	}, runSub)
}

// subscriber prints the messages of one run. All that arrives comes through
// receive, on the goroutine that reads the connection.
type subscriber struct {
	*engine
	out   *printer
	count int // messages so far
	rates *rateMeter
	clear clearer
	wait  *waiting   // nil: for nothing
	last  *lastSeen  // of --changes; nil: all are shown
	table *topicView // of --table

	once     sync.Once
	finished chan error // what receive decides: the run is over
}

func runSub(ctx context.Context, s *settings, t *terminal) error {
	if s.noRetained && s.retainedOnly {
		return fail(exitUsage, complaint("\nCombining '-R' and '--retained-only' makes no sense."))
	}
	if !s.reconnectSet {
		s.reconnect = -1
	}
	out, err := newPrinter(s, t)
	if err != nil {
		return err
	}
	if err := s.checkWait(); err != nil {
		return err
	}
	sub := &subscriber{out: out, wait: newWaiting(s, t), finished: make(chan error, 1)}
	if s.messageRate {
		sub.rates = &rateMeter{}
	}
	if s.changes {
		sub.last = &lastSeen{}
	}
	if sub.table, err = newSubTable(s, t); err != nil {
		return err
	}
	if sub.engine, err = newEngine(s, out.terminal(t), sub.receive, sub.flush); err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if _, err := sub.Connect(ctx); err != nil {
		if ctx.Err() != nil {
			return beforeConnack(ctx, s)
		}
		return s.failConnect(err)
	}
	err = sub.run(ctx)
	return out.closeAfter(err)
}

// run subscribes and waits for whatever ends the run first.
func (sub *subscriber) run(ctx context.Context) (err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if sub.rates != nil {
		work, cancel := context.WithCancel(ctx)
		defer cancel()
		wg.Go(func() { sub.rates.report(work, sub.out) })
	}
	end, err := sub.table.begin(sub.stop)
	if err != nil {
		return err
	}
	defer func() {
		if problem := end(); err == nil {
			err = problem
		}
	}()
	if err = sub.subscribe(ctx); err == nil {
		err = sub.s.doze(sub.API)
	}
	if err == nil && !sub.s.exitAfterSub && (len(sub.s.topics) > 0 || sub.s.persistent || sub.s.device != nil) {
		var ended bool
		if ended, err = sub.await(ctx); ended && len(sub.finished) == 0 {
			return sub.ended()
		}
	} else if ctx.Err() != nil {
		err = failCause(ctx)
	}
	sub.Halt()
	clearErr := sub.clear.wait()
	_ = sub.leave(sub.farewell(err))
	if !sub.s.peer {
		err = sub.settle(err)
	}
	if err == nil {
		err = clearErr
	}
	return err
}

// settle is how the run has ended, now that nothing more comes: what the reader
// still had in hand may have decided it.
func (sub *subscriber) settle(err error) error {
	select {
	case err = <-sub.finished:
	default:
	}
	if err == nil {
		err = sub.wait.unmet()
	}
	return err
}

// farewell is the reason that DISCONNECT gives: as in mosquitto's clients, the
// will is published when a signal or -W has ended the run. Under our own name
// an orderly end is one.
func (e *engine) farewell(err error) mqtt.ReasonCode {
	if e.s.peer && (errors.As(err, new(signalled)) || errors.Is(err, errTimedOut)) {
		return mqtt.DisconnectWithWill
	}
	return mqtt.NormalDisconnection
}

// subscribe sends one SUBSCRIBE for all filters, in order, and then one
// UNSUBSCRIBE for each of -U.
func (sub *subscriber) subscribe(ctx context.Context) error {
	s := sub.s
	if len(s.topics) > 0 {
		filters := make([]client.Subscription, len(s.topics))
		for i, t := range s.topics {
			filters[i] = client.Subscription{Filter: t, QoS: uint8(s.qos)}
			if s.version == mqtt.V5 {
				filters[i].RetainAsPublished = s.retainAsPublished
				filters[i].RetainHandling = s.retainHandling
				if s.noRetained {
					filters[i].RetainHandling = 2
				}
			}
		}
		codes, err := sub.Subscribe(ctx, filters, s.properties["subscribe"])
		var reasons client.Refusals
		if err != nil && !errors.As(err, &reasons) {
			return sub.failRequest(ctx, "subscribe", err)
		}
		if err := sub.granted(codes, reasons); err != nil {
			return err
		}
	}
	for _, t := range s.unsubscribe {
		codes, err := sub.Unsubscribe(ctx, []string{t}, s.properties["unsubscribe"])
		if err != nil {
			return sub.failRequest(ctx, "unsubscribe", err)
		}
		for _, c := range codes {
			if c.IsError() && !s.peer && !s.quiet {
				sub.t.warnf("unsubscribe from %q refused: %s (0x%02x)", t, c, uint8(c))
			}
		}
	}
	return nil
}

func (e *engine) failRequest(ctx context.Context, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return failCause(ctx)
	case errors.As(err, new(*client.LimitError)):
		return fail(exitSubscriptionRefused, fmt.Errorf("%s: %w", what, err))
	case errors.Is(err, client.ErrClosed):
		return e.ended()
	case errors.Is(err, client.ErrTimeout):
		return fail(exitTimeout, fmt.Errorf("%s: %w", what, err))
	}
	return fail(exitFailed, fmt.Errorf("%s: %w", what, err))
}

// granted reports refused subscriptions; reasons is nil where codes say why.
func (sub *subscriber) granted(codes []mqtt.ReasonCode, reasons client.Refusals) error {
	refused := 0
	var hints []string
	for i, c := range codes {
		if !c.IsError() {
			continue
		}
		refused++
		reason := fmt.Sprintf("%s (0x%02x)", c.Name(mqtt.TypeSuback, sub.s.version), uint8(c))
		if denied := (*client.RefusedError)(nil); reasons != nil && errors.As(reasons[i], &denied) {
			reason = cmp.Or(denied.Reason, "no reason given")
		}
		if hint := sub.s.refusalHint(reason); hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
		if !sub.s.peer && !sub.s.quiet {
			sub.t.warnf("subscription to %q refused: %s", sub.s.topics[i], reason)
		}
	}
	switch {
	case refused == 0:
		return nil
	case refused == len(codes) && sub.s.peer:
		if !sub.s.quiet {
			sub.t.raw("All subscription requests were denied.")
		}
		sub.stop(nil)
		return nil
	case refused == len(codes):
		return fail(exitSubscriptionRefused, errors.New("the broker refused every subscription"), hints...)
	case sub.s.strict:
		return fail(exitSubscriptionRefused, fmt.Errorf("the broker refused %d of %d subscriptions", refused, len(codes)), hints...)
	}
	return nil
}

// stop ends the run with err; only the first call counts.
func (sub *subscriber) stop(err error) {
	sub.once.Do(func() {
		sub.Halt()
		sub.finished <- err
	})
}

// receive works off one message.
func (sub *subscriber) receive(m client.Message) {
	s := sub.s
	if s.retainedOnly && !m.Retain {
		if s.peer && s.removeRetained && s.timeout > 0 && len(m.Payload) == 0 {
			return // mosquitto_sub waits on when what it has cleared comes back
		}
		sub.stop(nil)
		return
	}
	if s.peer20 && s.noRetained && m.Retain {
		return
	}
	for _, f := range s.filterOut {
		if router.Match(f, m.Topic) {
			return
		}
	}
	if s.removeRetained && m.Retain {
		sub.clear.add(sub.engine, m.Topic)
	}
	if s.noRetained && m.Retain {
		return
	}
	if sub.rates != nil {
		sub.rates.count.Add(1)
		if sub.wait == nil {
			return
		}
	}
	now := time.Now()
	var x *sight
	if sub.wait != nil || sub.out.looks {
		x = sub.out.look(&m, now)
	}
	end := sub.wait.judge(x)
	switch {
	case sub.rates != nil:
	case end.show:
		sub.print(&m, now, x)
	case s.randomFilter < 1000 && rand.IntN(1000) >= s.randomFilter:
		sub.count++ // as mosquitto_sub does
	case sub.last != nil && !sub.last.differs(m.Topic, m.Payload):
	default:
		sub.print(&m, now, x)
		sub.count++
	}
	if end.over {
		sub.stop(end.err)
	}
	if s.count > 0 && sub.count >= s.count {
		sub.stop(nil)
	}
}

func (sub *subscriber) print(m *client.Message, now time.Time, x *sight) {
	if sub.table != nil {
		sub.tabulate(m, now, x)
		return
	}
	err := sub.out.show(m, now, x)
	if err == nil {
		return
	}
	if !isProblem(err) {
		sub.broken(err)
		return
	}
	if !sub.s.quiet {
		sub.out.complain(sub.t, err)
	}
}

func (sub *subscriber) flush() {
	if err := sub.out.flush(); err != nil {
		sub.broken(err)
	}
	sub.wait.idled()
}

// broken ends the run because standard output takes no more, and the connection,
// so that nothing is acknowledged that was not written; but somebody who has read
// enough has had the rest, too.
func (sub *subscriber) broken(err error) {
	sub.stop(err)
	if !sub.s.peer && !isClosedPipe(err) {
		_ = sub.Close()
	}
}

// beforeConnack is how a run ends that never got connected.
func beforeConnack(ctx context.Context, s *settings) error {
	if s.peer && s.prog == progSub {
		return fail(255, errors.New("")) // mosquitto_sub has -1 here
	}
	return failCause(ctx)
}
