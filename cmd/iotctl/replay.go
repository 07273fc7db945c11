package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
)

func newReplay() *cobra.Command {
	return clientCommand(progReplay, &cobra.Command{
		Use:   "replay file [url] [options]",
		Short: "Publish what was recorded again",
		Long: `Publishes the messages of a recording with the pauses that they were recorded
with, or faster. A recording is what iotctl record writes, JSON Lines of iotctl sub
-o jsonl, or a capture (pcap or pcapng) by anybody, each also in gzip; - is standard
input.

Of a capture it plays what clients have published; --direction delivered plays what
brokers have delivered. Of one that iotctl record has made it plays what was
recorded. What was sent twice because of a broken connection is played once.

Messages keep topic, QoS, retain and properties. Subscription identifiers, topic
aliases and packet identifiers belong to a connection and go. A response topic is
rewritten as the topic is.

  --rewrite site/+/#=test/+/#      + and # take up what they stand for
  --rewrite '+/+/temp=$2/$1'       $1 to $9 do so in any order
  --rewrite prefix:old/=new/       what topics begin with
  --rewrite 'regex:^dev-(\d+)=d/$1'

When messages go out late, because the broker or the network does not take them as
fast, this is told with figures. With --speed max there is no clock to fall behind.

It waits until the broker has acknowledged all messages above QoS 0, and says so:
it ends with 0 if that is so, with 8 if the broker has refused some, with 10 if some
were not acknowledged, with 7 if the connection was lost, and with 5 if the file is
no recording or is damaged. Of a file whose last line was cut by a kill it plays all
others.`,
		Example: `  iotctl replay morning.jsonl
  iotctl replay morning.jsonl mqtt://test.example --speed 10 --rewrite '#=replayed/#'
  iotctl replay morning.pcapng --speed max --loop 3 -t 'sensors/#'
  iotctl replay morning.jsonl --from 90s --to 120s --dry-run
  iotctl replay tcpdump.pcap --direction delivered -q 1 --no-retain`,
		Args: cobra.ArbitraryArgs,
	}, runReplay)
}

// replayer plays a recording.
type replayer struct {
	*publisher // nil with --dry-run
	s          *settings
	t          *terminal
	in         *replayInput
	send       func(context.Context, *recording.Message, string) error // with the topic as recorded

	rounds  int
	played  int
	bytes   int64
	gaps    int
	invalid int // in 3.x: messages whose properties are left out
	lag     recording.Lag
	warned  bool
	rewrote bool          // --rewrite was for one of the topics
	planned *plan         // of --dry-run
	at      time.Duration // after the first message, of --dry-run
	cut     string        // why the end of the recording is missing
}

func runReplay(ctx context.Context, s *settings, t *terminal) error {
	name, err := s.replayFile()
	if err != nil {
		return err
	}
	in, err := openReplay(s, t, name)
	if err != nil {
		return err
	}
	defer in.close()
	if s.loops != 1 && in.file == nil {
		return fail(exitUsage, fmt.Errorf("--loop: %s can be read once only", in.name), "write it to a file first")
	}
	r := &replayer{s: s, t: t, in: in}
	if s.dryRun {
		return r.plan(ctx)
	}
	if !s.reconnectSet {
		s.reconnect = -1
	}
	end := startStatus(t, s.quiet, r.progress)
	defer end()
	e, err := newEngine(s, t, nil, nil)
	if err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	r.publisher = &publisher{engine: e, lowest: 2} // the messages say it
	if err := e.connect(ctx); err != nil {
		return err
	}
	r.send = r.publishOne
	began := time.Now()
	err = r.rest(ctx, r.play(ctx))
	end()
	r.summary(time.Since(began))
	return err
}

// replayFile is the argument that is the file.
func (s *settings) replayFile() (string, error) {
	switch {
	case len(s.operands) == 0:
		return "", fail(exitUsage, errors.New("no file says what is to be published"), "iotctl "+s.prog.String()+" FILE [URL]", "iotctl "+s.prog.String()+" - reads standard input")
	case len(s.operands) > 1:
		return "", fail(exitUsage, fmt.Errorf("%q is one file too many", s.operands[1]), "iotctl "+s.prog.String()+" FILE [URL]")
	}
	return s.operands[0], nil
}

// play plays all rounds.
func (r *replayer) play(ctx context.Context) error {
	for r.s.loops < 0 || r.rounds < r.s.loops {
		if r.rounds > 0 {
			if err := r.in.again(); err != nil {
				return err
			}
			r.s.clock.Again()
			r.s.choice.Again()
		}
		before := r.played
		if err := r.round(ctx); err != nil {
			return err
		}
		r.rounds++
		if r.played == before {
			break // for ever would be no end
		}
	}
	return nil
}

// round plays the recording once.
func (r *replayer) round(ctx context.Context) error {
	for {
		item, err := r.in.next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.damaged(err)
		case item.Gap != nil:
			r.gap(item.Gap)
			continue
		}
		take, over := r.s.choice.Take(&item.Message)
		if take {
			if err := r.one(ctx, &item.Message); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
	}
}

// damaged tells what to do about an error of the input: what is cut at its end is
// played as far as it goes.
func (r *replayer) damaged(err error) error {
	var line *recording.Malformed
	var damage *capture.Damaged
	switch {
	case errors.As(err, &line) && line.Cut, errors.As(err, &damage) && errors.Is(err, io.ErrUnexpectedEOF):
		r.cut = err.Error()
		return nil
	case errors.As(err, &line), errors.As(err, &damage), errors.Is(err, recording.ErrNoRecording):
		return fail(exitMalformed, fmt.Errorf("%s: %w", r.in.name, err))
	case r.in.ended(err):
		return err
	}
	return fail(exitFailed, fmt.Errorf("read %s: %w", r.in.name, cause(err)))
}

// gap passes over a time that was not recorded.
func (r *replayer) gap(g *recording.Gap) {
	if r.rounds == 0 {
		r.gaps++
	}
	if r.planned != nil {
		r.planned.gap(g)
	}
}

// one plays a message when it is due.
func (r *replayer) one(ctx context.Context, m *recording.Message) error {
	was := m.Topic
	if err := r.prepare(m); err != nil {
		return fail(exitFailed, err)
	}
	return r.send(ctx, m, was)
}

// prepare makes of a message what is to be published.
func (r *replayer) prepare(m *recording.Message) error {
	now, meant := r.s.rewritten(m.Topic)
	m.Topic, r.rewrote = now, r.rewrote || meant
	if !validName(m.Topic) {
		return fmt.Errorf("--rewrite makes %q, which is no topic", m.Topic)
	}
	if !r.s.keepQoS {
		m.QoS = uint8(r.s.qos)
	}
	if !r.s.keepRetain {
		m.Retain = r.s.retain
	}
	if len(m.Properties) == 0 {
		return nil
	}
	if r.s.version != mqtt.V5 {
		m.Properties = nil
		r.invalid++
		return nil
	}
	m.Properties = m.Properties.Without(mqtt.PropSubscriptionIdentifier, mqtt.PropTopicAlias)
	if to, ok := m.Properties.String(mqtt.PropResponseTopic); ok && len(r.s.rewrites) > 0 {
		if now, _ := r.s.rewritten(to); now != to && validName(now) {
			m.Properties = m.Properties.Without(mqtt.PropResponseTopic).AppendString(mqtt.PropResponseTopic, now)
		}
	}
	return nil
}

// rewritten is what --rewrite makes of a topic; false: it is meant by none.
func (s *settings) rewritten(topic string) (string, bool) {
	for i := range s.rewrites {
		if now, ok := s.rewrites[i].Apply(topic); ok {
			return now, true
		}
	}
	return topic, false
}

// publishOne waits for the time of a message, and publishes it.
func (r *replayer) publishOne(ctx context.Context, m *recording.Message, _ string) error {
	late, err := r.s.clock.Wait(ctx, m.Time)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.lag.Note(late)
	r.played++
	r.bytes += int64(len(m.Payload))
	r.mu.Unlock()
	if late > time.Second && !r.warned && !r.s.quiet {
		r.warned = true
		r.t.warnf("falling behind: a message goes out %s late", late.Round(time.Millisecond))
	}
	return r.publish(ctx, client.Message{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: m.Properties})
}

// rest waits for the outcomes and takes leave. err is what ended the playing.
func (r *replayer) rest(ctx context.Context, err error) error {
	if err == nil {
		err = r.Flush(ctx)
	} else if errors.As(err, new(*failure)) { // the input is wrong, and what came before it is not
		_ = r.Flush(ctx)
	}
	gone := r.gone()
	if e := r.leave(0); err == nil && gone == nil && e != nil && r.lowest <= 0 {
		gone = fail(exitLost, fmt.Errorf("%s: %w", r.s.brokerName(), e))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.balance(ctx, err, gone)
}

func (r *replayer) progress() string {
	if r.publisher == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := fmt.Sprintf("%s sent, %d acknowledged", counted(r.played, "message"), r.acked)
	if r.s.loops != 1 {
		s += fmt.Sprintf(", round %d", r.rounds+1)
	}
	if r.lag.Last > recording.Tolerated {
		s += fmt.Sprintf(", %s late", r.lag.Last.Round(time.Millisecond))
	}
	return s
}

// summary is the account of a run.
func (r *replayer) summary(took time.Duration) {
	if r.s.quiet {
		return
	}
	r.notes()
	r.mu.Lock()
	defer r.mu.Unlock()
	rounds := ""
	if r.rounds > 1 {
		rounds = fmt.Sprintf(", %d rounds", r.rounds)
	}
	r.t.notef("%d of %d messages %s, %s of payload, in %s%s", r.acked, r.sent, r.verb(), counted(int(r.bytes), "byte"), took.Round(time.Millisecond), rounds)
	if r.lag.Late > 0 {
		r.t.warnf("fell behind: %d of %d messages went out more than %s late, the latest %s, the last %s", r.lag.Late, r.played,
			recording.Tolerated, r.lag.Latest.Round(time.Millisecond), r.lag.Last.Round(time.Millisecond))
	}
}

// notes tells what was not played, and why.
func (r *replayer) notes() {
	if r.cut != "" {
		r.t.warnf("%s is cut, all before that was taken: %s", r.in.name, r.cut)
	}
	if r.gaps > 0 {
		r.t.notef("%s in the recording: whoever has recorded was not connected", counted(r.gaps, "gap"))
	}
	if len(r.s.rewrites) > 0 && !r.rewrote && r.played > 0 {
		r.t.warnf("--rewrite is for none of the topics: they are as recorded")
	}
	if r.invalid > 0 {
		r.t.warnf("%s without their properties, which MQTT %s has not: -V 5 keeps them", counted(r.invalid, "message"), r.s.version)
	}
	left := r.in.left()
	for _, n := range left.Notes {
		r.t.warnf("%s: %s", r.in.name, n)
	}
	for _, c := range []struct {
		n   int
		why string
	}{
		{left.Repeated, "sent again with DUP, played once"},
		{left.Nameless, "left out: their topic aliases are from before the capture"},
		{left.Broken, "left out: damaged, or not whole"},
	} {
		if c.n > 0 {
			r.t.notef("%s %s", counted(c.n, "message"), c.why)
		}
	}
	switch {
	case r.played > 0 || r.s.directions != recording.Auto:
	case left.Delivered > 0:
		r.t.hintf("%s that brokers have delivered: --direction delivered", counted(left.Delivered, "message"))
	case left.Published > 0:
		r.t.hintf("%s that clients have published: --direction published", counted(left.Published, "message"))
	}
}

// plan prints what would be played.
func (r *replayer) plan(ctx context.Context) error {
	out := newPlan(r.t)
	r.planned = out
	r.send = func(_ context.Context, m *recording.Message, was string) error {
		r.at += r.s.clock.Step(m.Time)
		if math.IsInf(r.s.clock.Speed, 1) {
			r.at = 0
		}
		r.played++
		r.bytes += int64(len(m.Payload))
		return out.message(r.at, m, was)
	}
	r.s.loops = max(r.s.loops, 1) // for ever would not end
	err := r.play(ctx)
	err = errors.Join(err, out.flush())
	if !r.s.quiet {
		r.notes()
		speed := ""
		if !math.IsInf(r.s.clock.Speed, 1) {
			speed = " in " + r.at.Round(time.Millisecond).String()
		}
		r.t.notef("%s, %s of payload%s: nothing was sent", counted(r.played, "message"), counted(int(r.bytes), "byte"), speed)
	}
	return err
}
