package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

func newReply() *cobra.Command {
	return clientCommand(progReply, &cobra.Command{
		Use:   "reply [url] -t filter... (--command command | --echo | -m text | -f file | -n) [options]",
		Short: "Reply to requests, by a command or a fixed text",
		Long: `Subscribes to requests and publishes a reply to each, where its response topic
says, with its correlation data. Several of them share the work with a filter as
$share/GROUP/FILTER.

A command is run by the shell for each request, reads its payload from standard
input, and prints the reply. Its environment is ours without what begins with
IOTCTL_, and with

  REQUEST_TOPIC            topic of the request
  REQUEST_RESPONSE_TOPIC   where the reply goes
  REQUEST_CORRELATION      correlation data in hex; empty: none
  REQUEST_QOS, REQUEST_RETAIN
                           0, 1 or 2, and 0 or 1
  REQUEST_CONTENT_TYPE     content type; empty: none
  REQUEST_USER_PROPERTIES  JSON array of objects of name and value, in order

A command that ends with another status than 0, takes longer than --time-limit or
prints more than --max-output has no reply, or with --on-error reply an object
such as {"error":"exit status 1"}. What it has started is killed when it ends.

Requests of MQTT 3.1.1, and others that name no response topic, are counted and
told, unless -e says where replies to them go. At SIGTERM what has come is still
replied to, within --grace.

With --payload a command reads what the payload was decoded to, and what it prints
is encoded by the rule for the response topic.`,
		Example: `  iotctl reply -t time/get --command date
  iotctl reply -t '$share/workers/calc/add' --command "jq -c '{sum: (.a + .b)}'"
  iotctl reply -t echo --echo -q 1
  iotctl reply -t 'ask/+' -m no -D publish content-type text/plain
  iotctl reply -V 311 -t 'ask/#' -e 'answer/%2' --command 'wc -c'`,
	}, runReply)
}

// call is a request that has come, and is to be replied to.
type call struct {
	request client.Message
	to      string // response topic
}

// maxWaitingBytes bounds the requests that wait for a command, beside their number.
const maxWaitingBytes = 64 << 20

// responder replies to the requests of one run. What arrives comes through receive,
// on the goroutine that reads the connection.
type responder struct {
	*engine
	fixed []byte        // -m, -f
	done  chan struct{} // -C

	working context.Context // until what was begun must end
	wg      sync.WaitGroup  // of workers
	rules   sync.Mutex      // guards s.payloads

	mu       sync.Mutex
	queue    []call
	bytes    int // of queue
	workers  int
	account  replyAccount
	stopping bool
}

// replyAccount is what became of requests.
type replyAccount struct {
	requests int
	replies  int // that the broker has acknowledged, or that were sent at QoS 0
	mute     int // named no place for a reply
	dropped  int // too many waited
	unsolved int // commands that failed
	refused  int // replies that were not delivered to the broker
}

func runReply(ctx context.Context, s *settings, t *terminal) error {
	switch {
	case len(s.topics) == 0 || s.mode == modeNone && !s.call.echo && s.call.command == "":
		return fail(exitUsage, errors.New("a topic filter and what to reply must be supplied"), "iotctl reply -t FILTER --command COMMAND", "iotctl reply --help")
	case s.properties["publish"].Has(mqtt.PropCorrelationData) || s.properties["publish"].Has(mqtt.PropResponseTopic):
		return usagef("-D publish correlation-data and response-topic are the request's to say")
	}
	if !s.reconnectSet {
		s.reconnect = -1
	}
	fixed, err := s.payload(t)
	if err != nil {
		return err
	}
	working, kill := context.WithCancel(context.Background())
	defer kill()
	r := &responder{fixed: fixed, working: working, done: make(chan struct{})}
	if r.engine, err = newEngine(s, t, r.receive, nil); err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if err := r.connect(ctx); err != nil {
		return err
	}
	sub := subscriber{engine: r.engine}
	err = sub.subscribe(ctx)
	if err == nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			err = failCause(ctx)
		case <-r.Done():
			err = r.ended()
		}
	}
	r.finish(kill)
	_ = r.leave(0)
	return r.balance(err)
}

// finish takes no more requests, and ends what was begun: by itself within --grace,
// or by kill.
func (r *responder) finish(kill context.CancelFunc) {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	r.Halt()
	timer := time.AfterFunc(r.s.call.grace, kill)
	defer timer.Stop()
	select {
	case <-r.Done():
		kill() // nobody is there to reply to
	default:
		// What is shared goes to others from now on.
		ctx, cancel := context.WithTimeout(r.working, time.Second)
		_, _ = r.Unsubscribe(ctx, r.s.topics, nil)
		cancel()
	}
	r.wg.Wait()
	_ = r.Flush(r.working)
}

// receive takes a request.
func (r *responder) receive(m client.Message) {
	if m.Retain && r.s.noRetained {
		return
	}
	to, problem := r.s.replyTo(&m)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return
	}
	r.account.requests++
	if r.s.count > 0 && r.account.requests == r.s.count {
		r.stopping = true
		r.Halt()
		close(r.done)
	}
	switch {
	case problem != "":
		r.account.mute++
		r.tell(r.account.mute, "request on %q has no reply: %s", m.Topic, problem)
	case len(r.queue) >= r.s.call.maxWaiting || r.bytes+len(m.Payload) > maxWaitingBytes:
		r.account.dropped++
		r.tell(r.account.dropped, "request on %q has no reply: %d others wait", m.Topic, len(r.queue))
	default:
		m.Payload, m.Properties = slices.Clone(m.Payload), slices.Clone(m.Properties)
		r.queue = append(r.queue, call{m, to})
		r.bytes += len(m.Payload)
		if r.workers < r.s.call.concurrency {
			r.workers++
			r.wg.Go(r.work)
		}
	}
}

// tell warns of the n-th case of its kind, but of few of them.
func (r *responder) tell(n int, format string, a ...any) {
	switch {
	case r.s.quiet:
	case n < maxComplaints || r.s.verbose:
		r.t.warnf(format, a...)
	case n == maxComplaints:
		r.t.warnf(format+"; those that follow are only counted", a...)
	}
}

// work replies to requests until none waits.
func (r *responder) work() {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.workers--
			r.mu.Unlock()
			return
		}
		c := r.queue[0]
		r.queue[0] = call{}
		r.queue = r.queue[1:]
		r.bytes -= len(c.request.Payload)
		r.mu.Unlock()
		r.reply(c)
	}
}

// reply answers one request and waits for the broker to have the answer.
func (r *responder) reply(c call) {
	began := time.Now()
	payload, err := r.answer(&c)
	properties := slices.Clone(r.s.properties["publish"])
	if err != nil {
		r.mu.Lock()
		r.account.unsolved++
		r.tell(r.account.unsolved, "request on %q: %v", c.request.Topic, err)
		r.mu.Unlock()
		if !r.s.call.errorReply || r.working.Err() != nil {
			return
		}
		payload = errorPayload(err)
		if r.s.version == mqtt.V5 {
			properties = properties.AppendUserProperty("error", err.Error())
		}
	}
	if data, ok := c.request.Properties.Bytes(mqtt.PropCorrelationData); ok {
		properties = properties.AppendBytes(mqtt.PropCorrelationData, data)
	}
	m := client.Message{Topic: c.to, Payload: payload, QoS: uint8(r.s.qos), Properties: properties}
	o, err := r.PublishWait(r.working, m)
	switch {
	case err != nil:
	case o.Kind == client.Refused:
		if err = o.Err; err == nil {
			err = fmt.Errorf("refused: %s (0x%02x)", o.Code, uint8(o.Code))
		}
	case o.Kind == client.Lost:
		err = errors.New("not acknowledged")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.account.refused++
		r.tell(r.account.refused, "reply to %q: %v", c.to, err)
		return
	}
	r.account.replies++
	if r.s.verbose && !r.s.quiet {
		r.t.notef("%q, %d bytes: %d bytes to %q after %s", c.request.Topic, len(c.request.Payload), len(payload), c.to, short(time.Since(began)))
	}
}

// answer is what the reply to a request says.
func (r *responder) answer(c *call) ([]byte, error) {
	switch {
	case r.s.call.echo:
		return c.request.Payload, nil
	case r.s.call.command == "":
		return r.fixed, nil
	}
	asked, err := r.decoded(&c.request)
	if err != nil {
		return nil, err
	}
	printed, err := r.s.runCommand(r.working, r.t.err, asked, environmentOf(c))
	if err != nil {
		return nil, err
	}
	r.rules.Lock()
	defer r.rules.Unlock()
	return r.s.payloads.Encode(c.to, "", printed)
}

// balance reports the run and says how it went; err is what ended it.
func (r *responder) balance(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.account
	if !r.s.quiet {
		r.t.notef("%s", a)
	}
	missing := a.requests - a.replies
	if err == nil && missing > 0 {
		return fail(exitFailed, fmt.Errorf("%d of %d requests have no reply", missing, a.requests))
	}
	return err
}

func (a *replyAccount) String() string {
	parts := []string{fmt.Sprintf("%d requests", a.requests), fmt.Sprintf("%d replies", a.replies)}
	for _, p := range []struct {
		n    int
		what string
	}{
		{a.mute, "without response topic"},
		{a.unsolved, "failed"},
		{a.dropped, "too many at a time"},
		{a.refused, "replies not delivered"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// replyTo is where the reply to m goes, or why there is none.
func (s *settings) replyTo(m *client.Message) (topic, problem string) {
	topic, ok := m.Properties.String(mqtt.PropResponseTopic)
	switch {
	case ok && !validName(topic):
		return "", fmt.Sprintf("its response topic %q is no topic name", topic)
	case ok:
		return topic, ""
	case s.call.replyTopics == "":
		return "", "it names no response topic"
	}
	topic = fillTopic(s.call.replyTopics, m.Topic)
	if !validName(topic) {
		return "", fmt.Sprintf("%q is no topic name", topic)
	}
	for _, f := range s.topics {
		if _, inner, shared, _ := router.SplitShared(f); shared {
			f = inner
		}
		if router.Match(f, topic) {
			return "", fmt.Sprintf("the reply on %q would be taken for a request", topic)
		}
	}
	return topic, ""
}

// checkReplyTopics refuses templates that cannot become topic names.
func checkReplyTopics(template string) error {
	for i := 0; i < len(template); i++ {
		if template[i] != '%' {
			continue
		}
		i++
		if i == len(template) || !strings.ContainsRune("t123456789%", rune(template[i])) {
			return fmt.Errorf("%q: behind %% stands t, for the topic, 1 to 9, for a level of it, or %%", template)
		}
	}
	if !validName(fillTopic(template, "a/b/c/d/e/f/g/h/i")) {
		return fmt.Errorf("%q makes no topic names", template)
	}
	return nil
}

// fillTopic puts topic and its levels in the places of %t and %1 to %9.
func fillTopic(template, topic string) string {
	levels := strings.Split(topic, "/")
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] != '%' || i+1 == len(template) {
			b.WriteByte(template[i])
			continue
		}
		i++
		switch c := template[i]; {
		case c == '%':
			b.WriteByte(c)
		case c == 't':
			b.WriteString(topic)
		case int(c-'1') < len(levels):
			b.WriteString(levels[c-'1'])
		}
	}
	return b.String()
}
