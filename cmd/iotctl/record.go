package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/recording"
	"github.com/iotctl/iotctl/internal/router"
)

func newRecord() *cobra.Command {
	return clientCommand(progRecord, &cobra.Command{
		Use:   "record [url] -t filter... -w file [options]",
		Short: "Write messages down, to be replayed",
		Long: `Subscribes to topic filters and writes what arrives to a file, with the time of
each message: JSON Lines as iotctl sub -o jsonl prints them, or a pcapng that
Wireshark, tshark and iotctl decode open. iotctl replay publishes either again.

It subscribes with QoS 2 and in MQTT 5.0 with retain-as-published, so that QoS,
retain and properties are those of the publisher.

What has come is written before it is acknowledged: a kill loses what was not
acknowledged, and cuts the last line at most. With -c and -i the broker keeps
what comes at QoS 1 and 2 while nobody records.

When the connection breaks it connects again, and says so in the recording:

  {"gap":{"from":"...","to":"...","session":"new","reason":"..."}}

With session "new" messages may be missing that came between the two times, with
"kept" those of QoS 0. A pcapng has a comment there. It has no passwords: the
connection is written as the client sees it, inside of TLS, but for user name,
password and authentication data.

It ends when one of the limits is reached, with code 0, or with Ctrl-C, with code
130.`,
		Example: `  iotctl record -t 'sensors/#' -w morning.jsonl
  iotctl record -t '#' -w morning.pcapng --for 1h --max-size 500M
  iotctl record mqtts://broker.example -t 'a/#' -T 'a/secret/#' -w - -C 1000 | gzip > a.jsonl.gz
  iotctl record -i recorder -c -t 'orders/#' -w orders.jsonl --append`,
	}, runRecord)
}

// recorder writes the messages of one run. Messages come on the goroutine that reads
// the connection, packets on this and on others.
type recorder struct {
	*engine
	s       *settings
	t       *terminal
	file    io.WriteCloser
	created bool  // the file was not there before
	before  int64 // bytes that were in it

	mu       sync.Mutex
	out      recording.Writer
	capture  *recording.Capture // out, if it is one
	messages int
	payloads int64
	kept     kept // of these
	broken   bool // the file takes no more
	began    time.Time
	lostAt   time.Time // zero: the connection is there
	reason   string
	gaps     int
	down     time.Duration
	forgot   bool // a gap in which the broker has not kept the session
	ended    bool

	finished chan error
}

// kept is what the operating system has.
type kept struct {
	messages int
	payloads int64
}

func runRecord(ctx context.Context, s *settings, t *terminal) error {
	switch {
	case len(s.topics) == 0:
		return fail(exitUsage, errors.New("no topic filter says what is to be recorded"), "iotctl record -t '#' -w FILE", "iotctl record --help")
	case s.out == "":
		return fail(exitUsage, errors.New("no file says where the recording is to go"), "iotctl record -t '"+s.topics[0]+"' -w FILE.jsonl, or FILE.pcapng", "-w - writes to standard output")
	case s.appendTo && s.overwrite:
		return usagef("--append and --overwrite contradict each other")
	}
	if !s.reconnectSet {
		s.reconnect = -1
	}
	r := &recorder{s: s, t: t, finished: make(chan error, 1)}
	s.retainAsPublished = s.version == mqtt.V5
	if err := r.open(s); err != nil {
		return err
	}
	s.onState = r.state
	if r.capture != nil {
		s.onPacket = r.packet
	}
	err := r.run(ctx, s)
	if closeErr := r.close(); err == nil {
		err = closeErr
	}
	return err
}

func (r *recorder) run(ctx context.Context, s *settings) error {
	end := startStatus(r.t, s.quiet, r.progress)
	defer end()
	var err error
	if r.engine, err = newEngine(s, r.t, r.receive, r.flush); err != nil {
		r.discard(s)
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if err := r.connect(ctx); err != nil {
		r.discard(s)
		return err
	}
	r.mu.Lock()
	r.began = time.Now()
	r.mu.Unlock()
	sub := &subscriber{engine: r.engine}
	if err = sub.subscribe(ctx); err == nil {
		err = r.wait(ctx)
	}
	r.Halt()
	_ = r.leave(r.farewell(err))
	end()
	r.summary()
	return err
}

// wait waits for whatever ends the run.
func (r *recorder) wait(ctx context.Context) error {
	var over <-chan time.Time
	if r.s.recordTime > 0 {
		timer := time.NewTimer(r.s.recordTime)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case err := <-r.finished:
		return err
	case <-over:
		return nil
	case <-ctx.Done():
		return failCause(ctx)
	case <-r.Done():
		select {
		case err := <-r.finished: // which has closed the connection
			return err
		default:
			return r.engine.ended()
		}
	}
}

// receive writes one message.
func (r *recorder) receive(m client.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	item := recording.Message{
		Time: time.Now(), Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Dup: m.Dup,
		PacketID: m.PacketID, Properties: m.Properties,
	}
	if !r.wanted(&m) {
		if r.capture != nil {
			r.capture.Skip(&item)
		}
		return
	}
	if err := r.write(func() error { return r.out.Message(&item) }); err != nil {
		return
	}
	r.messages++
	r.payloads += int64(len(m.Payload))
	if s := r.s; s.count > 0 && r.messages == s.count || s.maxBytes > 0 && r.before+r.out.Size() >= s.maxBytes {
		r.end(nil)
	}
}

func (r *recorder) wanted(m *client.Message) bool {
	if r.s.noRetained && m.Retain {
		return false
	}
	for _, f := range r.s.filterOut {
		if router.Match(f, m.Topic) {
			return false
		}
	}
	return true
}

// write does something to the file; what goes wrong ends the run. Call it with mu
// held.
func (r *recorder) write(do func() error) error {
	err := do()
	if err != nil {
		r.broken = true
		r.end(fail(exitFailed, fmt.Errorf("write %s: %w", r.s.out, cause(err))))
	}
	return err
}

// end ends the run; only the first call counts. Call it with mu held.
func (r *recorder) end(err error) {
	if !r.ended {
		r.ended = true
		r.Halt()
		r.finished <- err
	}
}

// flush comes before what was read is acknowledged: where the file has not taken all
// of it, the connection ends. That asks the client, which may be showing a packet:
// not with mu held.
func (r *recorder) flush() {
	r.mu.Lock()
	if r.write(r.out.Flush) == nil {
		r.kept = kept{r.messages, r.payloads}
	}
	broken := r.broken
	r.mu.Unlock()
	if broken {
		_ = r.Close()
	}
}

// packet sees what goes both ways, for a capture.
func (r *recorder) packet(dir client.Direction, raw []byte) {
	from := dissect.FromClient
	if dir == client.Received {
		from = dissect.FromServer
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.write(func() error { return r.capture.Packet(from, time.Now(), raw) })
}

// state writes down when there was no connection.
func (r *recorder) state(st client.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case st.Kind == client.StateLost:
		r.lostAt, r.reason = now, ""
		if st.Err != nil {
			r.reason = st.Err.Error()
		}
		if r.capture != nil {
			_ = r.write(func() error { return r.capture.Lost(now, r.reason) })
		}
	case st.Kind == client.StateConnected && !r.lostAt.IsZero():
		g := &recording.Gap{From: r.lostAt, To: now, Kept: st.Connack.SessionPresent, Reason: r.reason}
		r.lostAt = time.Time{}
		r.gap(g)
		_ = r.write(func() error { return errors.Join(r.out.Gap(g), r.out.Flush()) })
	case st.Kind == client.StateClosed && !r.lostAt.IsZero():
		r.gap(&recording.Gap{From: r.lostAt, To: now})
	}
}

func (r *recorder) gap(g *recording.Gap) {
	r.gaps++
	r.down += g.To.Sub(g.From)
	r.forgot = r.forgot || !g.Kept
}

func (r *recorder) progress() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := fmt.Sprintf("%s, %s", counted(r.messages, "message"), shortBytes(float64(r.out.Size())))
	if !r.began.IsZero() {
		s += ", " + time.Since(r.began).Round(time.Second).String()
	}
	if !r.lostAt.IsZero() {
		s += ", not connected"
	}
	return s
}

// summary tells what was recorded.
func (r *recorder) summary() {
	if r.s.quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.notef("%s recorded, %s of payload, in %s", counted(r.kept.messages, "message"), counted(int(r.kept.payloads), "byte"), time.Since(r.began).Round(time.Millisecond))
	if r.gaps > 0 {
		what := "messages of QoS 0 may be missing"
		if r.forgot {
			what = "messages may be missing"
		}
		r.t.warnf("the connection was down %s, for %s in all: %s", counted(r.gaps, "time"), r.down.Round(time.Millisecond), what)
	}
}

// discard removes a file that nothing was written to.
func (r *recorder) discard(s *settings) {
	if r.created {
		_ = os.Remove(s.out)
	}
}

// open opens the file.
func (r *recorder) open(s *settings) error {
	form := s.recordForm()
	f, created, err := s.createOut(r.t, form)
	if err != nil {
		return err
	}
	r.file, r.created = f, created
	if file, ok := f.(*os.File); ok && s.appendTo {
		if r.before, err = file.Seek(0, io.SeekCurrent); err != nil {
			return fail(exitFailed, err)
		}
	}
	if form == formatLines {
		r.out = recording.NewLines(f)
		return nil
	}
	r.capture, err = recording.NewCapture(f, s.brokerName(), "iotctl "+readVersion().Version)
	r.out = r.capture
	return err
}

func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.capture != nil {
		err = r.capture.Close(time.Now())
	}
	if err = errors.Join(err, r.out.Flush(), r.file.Close()); err != nil {
		return fail(exitFailed, fmt.Errorf("write %s: %w", r.s.out, cause(err)))
	}
	return nil
}
