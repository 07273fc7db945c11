package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/framing"
	"github.com/iotctl/iotctl/internal/generate"
)

func newPub() *cobra.Command {
	return clientCommand(progPub, &cobra.Command{
		Use:   "pub [url] -t topic (-m text | -f file | -s | -l | -n | --jsonl | --generate template | --rows file) [options]",
		Short: "Publish messages",
		Long: `Publishes one message, or one per line of standard input, and waits until the
broker has acknowledged all of them. With -l it survives a broker that goes
away for a while: lines that are not acknowledged are sent again.

--jsonl takes what iotctl sub -o jsonl prints, with topic, QoS, retain flag and
properties by line (iotctl help formats). --framing and -0 cut standard input at
other places than the ends of lines. --generate makes payloads and topics of
templates, --rows of the rows of a table (iotctl help generators). --rate sends
any of these by a schedule.

Options are spelled as mosquitto_pub spells them. Called by that name, through
a link, the program behaves as mosquitto_pub does.

Default options are read from iotctl/pub in $XDG_CONFIG_HOME or ~/.config, one
to a line, from a profile (--profile; see iotctl help profiles) and from variables
like IOTCTL_URL and IOTCTL_PASSWORD, one for each option (iotctl help environment).
The command line wins over the environment, that over the profile, and that over
the file.

The exit code tells a refused message (8) from one that was not acknowledged
(10) and a lost connection (7). In MQTT 3.1.1 a broker has no way to refuse a
message; use -V 5 to know.

With a URL of another protocol than MQTT it speaks as a device of that, and
options that the protocol cannot express are refused:

  emqtcp://HOST, emqtcps://HOST  the EMQ private TCP protocol, ports 8090 and
                                 8091. -i names the device; there are no topics.
                                 It answers no message, so a server may drop
                                 one without anybody being told.
  text://HOST, texts://HOST      the text protocol, ports 8071 and 8871. -t is the
                                 name of a variable, or dev/ID for a message
                                 to that device; -n takes the value of a
                                 variable away. Every message is answered.
  mqttsn://HOST                  MQTT-SN 1.2 over UDP, port 1884.
  mqttsns://HOST                 The same over DTLS, port 8883, with certificates
                                 or a pre-shared key (--psk-file, IOTCTL_PSK).
                                 -q -1 sends without a connection, --predefined
                                 and --short without a registration, --discover
                                 looks for a gateway. What is not answered is
                                 repeated (--retry, --retries).

As a device of the first two it does not connect again, even with -l, unless
--reconnect says so.`,
		Example: `  iotctl pub -t sensors/1 -m 21.5
  iotctl pub -V 5 -q 1 -t sensors/1 -m '{"t":21.5}' -D publish content-type application/json
  iotctl pub -q 1 -t log -l < lines.txt
  iotctl sub -V 5 -t 'a/#' -o jsonl | jq '.topic |= "b/" + .' | iotctl pub -V 5 --jsonl
  find . -name '*.csv' -print0 | iotctl pub -q 1 -t files -0
  iotctl pub -t sensors/1 --generate '{"n":{{n}},"t":{{walk 20 0.5}}}' --rate 10/s --for 30s
  iotctl pub -t 'meters/{{.id}}' --rows meters.csv --rate 1/s
  iotctl pub -L mqtts://broker.example:8883/sensors/1 -u me --ask-password -f reading.bin
  iotctl pub emqtcp://localhost -i dev1 -m 21.5
  iotctl pub text://localhost -i dev1 -t temp -m 21.5
  iotctl pub text://localhost -i dev1 -t dev/dev2 -m hello
  iotctl pub mqttsn://localhost -q 1 -t sensors/1 -m 21.5
  iotctl pub mqttsn://localhost -q -1 --predefined 17 -m 21.5
  iotctl pub mqttsns://gateway.example -i dev1 --psk-file key -t sensors/1 -m 21.5
  iotctl pub mqttsn:// --discover -t sensors/1 -m 21.5`,
	}, runPub)
}

// publisher sends the messages of one run and keeps the account of them.
type publisher struct {
	*engine
	message client.Message // all but the payload

	mu      sync.Mutex
	sent    int // taken by the client
	acked   int
	refused int
	hints   []string // on why
	unfit   int      // of refused: not sent, because the protocol cannot express them
	lost    int
	skipped int  // lines that make no message
	unread  bool // lines that the client has not taken may remain

	lowest, highest int // QoS of what was sent

	done      func(client.Outcome) // of messages on doneTopic; of publish alone
	doneTopic string

	schedule generate.Schedule
	stopped  time.Time // when the schedule ended
}

// maxComplaints bounds how many refused messages are listed one by one.
const maxComplaints = 10

func runPub(ctx context.Context, s *settings, t *terminal) error {
	if err := s.checkSending(); err != nil {
		return err
	}
	switch needless := s.device != nil && !s.device.topics; {
	case needless && s.mode == modeNone:
		return fail(exitUsage, errors.New("a message must be supplied"), "iotctl pub "+s.scheme+"://HOST -i ID -m TEXT", "iotctl pub --help")
	case !needless && s.topic() == "" && s.mode != modeRecords, s.mode == modeNone:
		return fail(exitUsage, complaint(pubIncomplete), "iotctl pub -t TOPIC -m TEXT", "iotctl pub --help")
	}
	if !s.reconnectSet && s.streams() && (s.device == nil || s.device.resumes) {
		s.reconnect = -1
	}
	message := client.Message{Topic: s.topic(), QoS: s.messageQoS(), Retain: s.retain, Properties: s.properties["publish"]}
	src, err := s.source(t, &message)
	if err != nil {
		return err
	}
	e, err := newEngine(s, t, nil, nil)
	if err != nil {
		return err
	}
	catch := catchAtOnce
	switch {
	case s.peer: // signals end mosquitto_pub
		catch = catchNever
	case src == nil && s.repeat == 1:
		catch = catchLate
	}
	ctx, stop := runContext(ctx, s, catch)
	defer stop()
	p := &publisher{engine: e, message: message, lowest: s.qos, highest: s.qos}
	if s.mode == modeRecords && s.qos >= 0 {
		p.lowest, p.highest = 2, 0 // lines say it
	}
	s.onRejected = p.rejected
	if err := e.connect(ctx); err != nil {
		return err
	}
	if src != nil {
		err = p.stream(ctx, src)
	} else {
		err = p.repeat(ctx, message)
	}
	return p.finish(ctx, err)
}

// source is where messages come from that are sent one after the other; nil: m is
// the message, and has been given its payload.
func (s *settings) source(t *terminal, m *client.Message) (source, error) {
	switch s.mode {
	case modeLines:
		return &lineSource{s: s, in: framing.NewReader(t.in, s.framing, cmp.Or(s.maxLine, defaultMaxLine)), message: *m}, nil
	case modeRecords:
		limit := cmp.Or(s.maxLine, defaultMaxRecord)
		return &recordSource{s: s, in: framing.NewReader(t.in, framing.Framing{}, limit), limit: limit, message: *m}, nil
	case modeGenerate:
		return newGenerated(s, t, *m)
	}
	payload, err := s.payload(t)
	if err != nil {
		return nil, err
	}
	if err := s.typed(m, payload); err != nil {
		return nil, fail(exitMalformed, err, "iotctl help payloads")
	}
	if s.rate > 0 || s.sendFor > 0 {
		return &constant{message: *m, left: cmp.Or(s.messages(), -1)}, nil
	}
	return nil, nil
}

const pubIncomplete = "Both topic and message must be supplied."

// payload reads what -m, -f, -s and -n name.
func (s *settings) payload(t *terminal) ([]byte, error) {
	switch s.mode {
	case modeMessage:
		return s.limited([]byte(s.message))
	case modeFile:
		b, err := os.ReadFile(s.file)
		if err != nil && s.peer {
			return nil, complain("Unable to open file \"%s\".\n!Error loading input file \"%s\".", s.file, s.file)
		}
		if err != nil {
			return nil, fail(exitFailed, err)
		}
		return s.limited(b)
	case modeStdin:
		b, err := io.ReadAll(t.in)
		if err != nil {
			return nil, fail(exitFailed, fmt.Errorf("read standard input: %w", err))
		}
		if len(b) == 0 {
			if s.peer {
				return nil, complain("Zero length input.\n!Error loading input from stdin.")
			}
			return nil, fail(exitFailed, errors.New("standard input is empty"), "-n sends an empty message")
		}
		return s.limited(b)
	}
	return nil, nil
}

func (s *settings) limited(b []byte) ([]byte, error) {
	if len(b) > mqtt.MaxRemaining {
		return nil, complain("Message length must be less than %d bytes.\n", mqtt.MaxRemaining)
	}
	return b, nil
}

// repeat sends the message as often as asked for: all at once, or with a delay
// between an acknowledgement and the next message.
func (p *publisher) repeat(ctx context.Context, m client.Message) error {
	for i := range p.s.repeat {
		if p.s.repeatDelay == 0 && !p.s.peer {
			if err := p.publish(ctx, m); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			select {
			case <-time.After(p.s.repeatDelay):
			case <-ctx.Done():
				return ctx.Err()
			case <-p.Done():
				return p.Err()
			}
		}
		if err := p.publish(ctx, m); err != nil {
			return err
		}
		if err := p.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// publish gives a message to the client. It is for one goroutine at a time.
func (p *publisher) publish(ctx context.Context, m client.Message) error {
	topic := m.Topic
	if p.done == nil || p.doneTopic != topic {
		p.doneTopic, p.done = topic, func(o client.Outcome) { p.outcome(topic, o) }
	}
	err := p.Publish(ctx, m, p.done)
	if denied := (*client.RefusedError)(nil); errors.As(err, &denied) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent++
		p.unfit++
		p.refuse(topic, "cannot be expressed", denied.Reason)
		return nil
	}
	if limit := (*client.LimitError)(nil); errors.As(err, &limit) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent++
		if p.s.peer {
			return complain("%s", limit)
		}
		p.refuse(topic, "refused", err.Error())
		return nil
	}
	if err == nil {
		p.mu.Lock()
		p.sent++
		p.lowest, p.highest = min(p.lowest, int(m.QoS)), max(p.highest, int(m.QoS))
		p.mu.Unlock()
	}
	return err
}

// outcome enters the final word on one message into the account.
func (p *publisher) outcome(topic string, o client.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch o.Kind {
	case client.Acknowledged, client.Written:
		p.acked++
	case client.Refused:
		reason := fmt.Sprintf("%s (0x%02x)", o.Code, uint8(o.Code))
		if denied := (*client.RefusedError)(nil); errors.As(o.Err, &denied) {
			reason = cmp.Or(denied.Reason, "no reason given")
		} else if o.Err != nil {
			reason = o.Err.Error()
		} else if s, ok := o.Properties.String(mqtt.PropReasonString); ok && s != "" {
			reason += fmt.Sprintf(": %q", s)
		}
		if p.s.peer {
			reason = fmt.Sprintf("Warning: Publish %d failed: %s.", o.PacketID, o.Code)
		}
		p.refuse(topic, "refused", reason)
	case client.Lost:
		p.lost++
	}
}

// rejected is about a message that was sent, and not taken.
func (p *publisher) rejected(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked--
	p.refuse(p.message.Topic, "refused", reason)
}

// refuse counts a message that the broker does not want, or that the protocol has
// no room for. Call it with mu held.
func (p *publisher) refuse(topic, verdict, reason string) {
	p.refused++
	if hint := p.s.refusalHint(reason); hint != "" && !slices.Contains(p.hints, hint) {
		p.hints = append(p.hints, hint)
	}
	if p.s.peer {
		p.t.raw(reason)
		return
	}
	if !p.s.quiet && p.refused <= maxComplaints {
		where := ""
		if topic != "" {
			where = fmt.Sprintf(" on %q", topic)
		}
		p.t.warnf("message%s %s: %s", where, verdict, reason)
	}
}

// finish waits for the outcomes, takes leave and draws the balance. err is
// what ended the sending, nil at the end of the input.
func (p *publisher) finish(ctx context.Context, err error) error {
	if err == nil {
		err = p.Flush(ctx)
	} else if errors.As(err, new(*failure)) { // the input is wrong, and what came before it is not
		_ = p.Flush(ctx)
	}
	gone := p.gone()
	if e := p.leave(0); err == nil && gone == nil && e != nil && p.lowest <= 0 {
		gone = fail(exitLost, fmt.Errorf("%s: %w", p.s.brokerName(), e))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.balance(ctx, err, gone)
	if p.s.stats || p.s.debug && !p.s.peer || !p.s.peer && !p.s.quiet && (out != nil && (p.sent > 1 || p.unread) || p.t.errTTY && p.s.streams()) {
		p.t.notef("%d of %d messages %s", p.acked, p.sent, p.verb())
	}
	if sent, due, latest, behind := p.schedule.Balance(p.stopped); behind && !p.s.quiet {
		p.t.warnf("behind the schedule: %d of %d messages that were due have been sent, the latest %s late", sent, due, latest.Round(time.Millisecond))
	}
	return out
}

// verb is what has become of messages, for the account. Call it with mu held.
func (p *publisher) verb() string {
	word := "acknowledged"
	switch unanswered := p.s.device == nil || !p.s.device.answers || p.s.device.resumes; {
	case p.lowest < 0, unanswered && p.highest == 0:
		word = "sent"
	case unanswered && p.lowest == 0:
		word = "acknowledged or, at QoS 0, sent"
	}
	if p.skipped > 0 {
		word += fmt.Sprintf(", %d more skipped", p.skipped)
	}
	if p.unread {
		word += ", input left unread"
	}
	return word
}

// gone tells why the client has ended, if it has.
func (p *publisher) gone() error {
	select {
	case <-p.Done():
		return p.ended()
	default:
		return nil
	}
}

func (p *publisher) balance(ctx context.Context, err, gone error) error {
	why := func(e error) string {
		if e == nil {
			return ""
		}
		return ": " + e.Error()
	}
	switch {
	case ctx.Err() != nil:
		cause := failCause(ctx)
		if p.lost > 0 && codeOf(cause) == exitTimeout {
			return fail(exitTimeout, fmt.Errorf("%w: %d of %d messages not acknowledged", cause, p.lost, p.sent))
		}
		return cause
	case p.lost > 0:
		return fail(exitUnacknowledged, fmt.Errorf("%d of %d messages not acknowledged%s", p.lost, p.sent, why(gone)), hintsOf(gone)...)
	case gone != nil:
		return gone
	case err != nil:
		return err
	case p.unfit > 0 && p.unfit == p.refused:
		return fail(exitPublishRefused, fmt.Errorf("%d of %d messages cannot be expressed in %s, and were not sent", p.unfit, p.sent, p.s.device.name))
	case p.refused > 0 && !p.s.peer:
		return fail(exitPublishRefused, fmt.Errorf("the broker refused %d of %d messages", p.refused, p.sent), p.hints...)
	case p.skipped > 0:
		return fail(exitMalformed, fmt.Errorf("%d messages were not sent, because what they were to be made of is wrong", p.skipped))
	}
	return nil
}
