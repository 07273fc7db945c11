package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func newRequest() *cobra.Command {
	return clientCommand(progRequest, &cobra.Command{
		Use:   "request [url] topic (-m text | -f file | -s | -n | --generate template) [options]",
		Short: "Send requests and print the replies to them",
		Long: `Publishes a request, with a response topic that nobody else has and correlation
data, and prints the replies to it: the first, as many as --replies says, or all
that come in the time of --wait. Replies to other requests are not mistaken for
them.

With --repeat it sends many, and with --concurrency several at a time; it then
reports how many were answered, lost and late, and how long replies took. With
--latency this report is all that is printed; -o json makes an object of it, with
times in seconds. A reply is late when the time of its request was over; one that
came to a request that had all its replies is surplus.

Replies come to iotctl/reply/ and something random, or below what --response-prefix
says, or what the broker offers if it is asked to, with -D connect
request-response-information 1. -e names the topic itself.

In MQTT 3.1.1 there are no response topics: -e says where replies come, one
request waits at a time, and every message there counts as a reply.

--generate makes each request anew. With --payload what is typed or generated is
encoded by the rule for the request's topic, and replies are read by the rule for
theirs: a rule without a filter is for both.

The exit code is 0 if all replies came that were waited for, and 27 if not.`,
		Example: `  iotctl request time/get -n
  iotctl request calc/add -m '{"a":1,"b":2}' -o jsonl
  iotctl request discover -n --replies 0 --wait 2s -v
  iotctl request echo -m hello --repeat 1000 --concurrency 10 --latency
  iotctl request echo --generate '{"n":{{n}},"t":{{walk 20 0.5}}}' --repeat 3
  iotctl request -V 311 echo -e echo/reply -m hello`,
		Args: cobra.ArbitraryArgs,
	}, runRequest)
}

// maxRequests bounds what is remembered of a run.
const maxRequests = 1_000_000

// defaultResponsePrefix is where replies come, unless the broker or the user names
// a place.
const defaultResponsePrefix = "iotctl/reply"

// inquiry is a request that waits for replies.
type inquiry struct {
	number  int
	sent    time.Time
	replies int
	over    bool
}

// inquirer sends the requests of one run. What arrives comes through receive, on
// the goroutine that reads the connection.
type inquirer struct {
	*engine
	out     *printer
	request client.Message
	made    *generated // --generate; nil: the request is always the same
	began   time.Time
	many    bool
	secret  string // begins our correlation data; "" in 3.x
	given   []byte // correlation data of the user's
	topic   string // for responses; of many requests what is above their numbers

	wake chan struct{} // something is over

	mu       sync.Mutex
	waiting  []*inquiry // in the order in which they were sent
	byNumber map[int]*inquiry
	answered []bool // by number
	account  requestAccount
	failure  error // of the output, or of a refused request
	unheard  bool  // the broker says that nobody subscribes
}

func runRequest(ctx context.Context, s *settings, t *terminal) error {
	if err := s.checkRequest(); err != nil {
		return err
	}
	payload, err := s.payload(t)
	if err != nil {
		return err
	}
	out, err := newPrinter(s, t)
	if err != nil {
		return err
	}
	s.maxInflight = max(s.maxInflight, s.call.concurrency)
	r := &inquirer{out: out, many: s.repeat > 1, wake: make(chan struct{}, 1), byNumber: map[int]*inquiry{}}
	r.request = client.Message{Topic: s.topic(), QoS: uint8(s.qos), Properties: s.properties["publish"]}
	if s.mode == modeGenerate {
		r.made, err = newGenerated(s, t, r.request)
	} else if err = s.typed(&r.request, payload); err != nil {
		err = fail(exitMalformed, err)
	}
	if err != nil {
		return err
	}
	if r.engine, err = newEngine(s, t, r.receive, r.flush); err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	ack, err := r.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return failCause(ctx)
		}
		return s.failConnect(err)
	}
	r.address(ack)
	err = r.subscribe(ctx)
	if err == nil {
		r.began = time.Now()
		err = r.run(ctx)
		r.account.took = time.Since(r.began)
		r.Halt()
		err = r.finish(err)
	}
	_ = r.leave(0)
	return out.closeAfter(err)
}

// checkRequest finds what is wrong with the options of a request together.
func (s *settings) checkRequest() error {
	for _, topic := range s.operands {
		if err := s.addTopic(topic, "topic"); err != nil {
			return fail(exitUsage, err)
		}
	}
	publish := s.properties["publish"]
	switch {
	case len(s.topics) == 0 || s.mode == modeNone:
		return fail(exitUsage, errors.New("a topic and a message must be supplied"), "iotctl request TOPIC -m TEXT", "iotctl request --help")
	case len(s.topics) > 1:
		return usagef("a request has one topic, and here are %q and %q", s.topics[0], s.topics[1])
	case s.version != mqtt.V5 && s.responseTopic == "":
		return fail(exitUsage, fmt.Errorf("MQTT %s has no response topics", s.version), "-e TOPIC says where replies come")
	case s.version != mqtt.V5 && s.call.concurrency > 1:
		return usagef("--concurrency needs MQTT 5.0, where replies say what they are replies to")
	case publish.Has(mqtt.PropResponseTopic):
		return fail(exitUsage, errors.New("-D publish response-topic: request has a response topic of its own"), "-e TOPIC names another")
	case publish.Has(mqtt.PropCorrelationData) && s.repeat > 1:
		return usagef("-D publish correlation-data and --repeat exclude each other: each request needs its own")
	case s.responseTopic != "" && s.call.responsePrefix != "":
		return usagef("-e and --response-prefix exclude each other")
	}
	return nil
}

// address decides where replies come and how they are told apart.
func (r *inquirer) address(ack client.Connack) {
	if r.s.version == mqtt.V5 {
		r.secret = rand.Text()[:16]
		r.given, _ = r.request.Properties.Bytes(mqtt.PropCorrelationData)
	}
	if r.topic = r.s.responseTopic; r.topic != "" {
		return
	}
	offered, _ := ack.Properties.String(mqtt.PropResponseInformation)
	prefix := cmp.Or(r.s.call.responsePrefix, strings.TrimSuffix(offered, "/"), defaultResponsePrefix)
	r.topic = prefix + "/" + rand.Text()[:16]
}

// numbered tells whether each request has a response topic of its own.
func (r *inquirer) numbered() bool { return r.many && r.s.responseTopic == "" }

func (r *inquirer) subscribe(ctx context.Context) error {
	filter := r.topic
	if r.numbered() {
		filter += "/+"
	}
	codes, err := r.Subscribe(ctx, []client.Subscription{{Filter: filter, QoS: uint8(r.s.qos)}}, r.s.properties["subscribe"])
	switch {
	case err != nil:
		return r.failRequest(ctx, "subscribe", err)
	case codes[0].IsError():
		return fail(exitSubscriptionRefused, fmt.Errorf("subscription to %q refused: %s (0x%02x)", filter, codes[0].Name(mqtt.TypeSuback, r.s.version), uint8(codes[0])),
			"--response-prefix TOPIC: replies come below one that you may read")
	}
	return nil
}

// run sends requests and waits until each has its replies or its time is up.
func (r *inquirer) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent := 0; ; {
		now := time.Now()
		open, next, err := r.expire(now)
		if err != nil {
			return err
		}
		if sent < r.s.repeat && open < r.s.call.concurrency {
			if err := r.send(ctx, sent); err != nil {
				return err
			}
			sent++
			continue
		}
		if open == 0 {
			return nil
		}
		timer.Reset(next.Sub(now))
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			return failCause(ctx)
		case <-r.Done():
			return r.ended()
		}
	}
}

// send publishes request n.
func (r *inquirer) send(ctx context.Context, n int) error {
	m, err := r.next()
	if err != nil {
		return err
	}
	if r.secret != "" {
		topic := r.topic
		if r.numbered() {
			topic += "/" + strconv.Itoa(n)
		}
		m.Properties = slices.Clone(m.Properties).AppendString(mqtt.PropResponseTopic, topic)
		if r.given == nil {
			m.Properties = m.Properties.AppendBytes(mqtt.PropCorrelationData, []byte(r.secret+"-"+strconv.Itoa(n)))
		}
	}
	q := &inquiry{number: n, sent: time.Now()}
	r.mu.Lock()
	r.waiting = append(r.waiting, q)
	r.byNumber[n] = q
	r.answered = append(r.answered, false)
	r.account.requests++
	r.mu.Unlock()
	err = r.Publish(ctx, m, func(o client.Outcome) { r.published(q, o) })
	if errors.As(err, new(*client.LimitError)) {
		return fail(exitPublishRefused, err)
	}
	if err != nil {
		return r.failRequest(ctx, "publish", err)
	}
	return nil
}

// next is the next request.
func (r *inquirer) next() (client.Message, error) {
	if r.made == nil {
		return r.request, nil
	}
	r.mu.Lock() // replies are read by the same rules of --payload
	defer r.mu.Unlock()
	m, err := r.made.next(time.Since(r.began))
	if bad := (*badInput)(nil); errors.As(err, &bad) {
		err = fail(exitMalformed, err)
	}
	return m, err
}

// published takes the broker's word on a request.
func (r *inquirer) published(q *inquiry, o client.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case o.Kind == client.Refused && !q.over:
		r.account.refused++
		reason := fmt.Sprintf("%s (0x%02x)", o.Code, uint8(o.Code))
		if o.Err != nil {
			reason = o.Err.Error()
		}
		r.failure = cmp.Or(r.failure, fail(exitPublishRefused, fmt.Errorf("the broker refused the request: %s", reason)))
		r.end(q)
	case o.Code == mqtt.NoMatchingSubscribers:
		r.unheard = true
	}
}

// end takes a request off those that wait. r.mu is held.
func (r *inquirer) end(q *inquiry) {
	q.over = true
	delete(r.byNumber, q.number)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// expire ends requests whose time is up. It tells how many are left, and when the
// next one's time is up.
func (r *inquirer) expire(now time.Time) (open int, next time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.waiting) > 0 {
		q := r.waiting[0]
		if next = q.sent.Add(r.s.call.wait); !q.over && now.Before(next) {
			break
		}
		r.waiting = r.waiting[1:]
		if q.over {
			continue
		}
		r.end(q)
		switch {
		case q.replies == 0:
			r.account.lost++
		case r.s.call.replies == 0:
			r.account.answered++
		default:
			r.account.incomplete++
		}
	}
	return len(r.byNumber), next, r.failure
}

// receive takes what comes to our response topic.
func (r *inquirer) receive(m client.Message) {
	now := time.Now()
	if r.s.noRetained && m.Retain {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ours := r.whose(&m)
	q := r.byNumber[n]
	switch {
	case !ours:
		r.account.foreign++
		return
	case q == nil && r.answered[n]:
		r.account.surplus++
		return
	case q == nil:
		r.account.late++
		return
	}
	q.replies++
	r.account.replies++
	took := now.Sub(q.sent)
	if q.replies == 1 {
		r.account.first = append(r.account.first, took)
	}
	if q.replies == r.s.call.replies {
		r.account.answered++
		r.answered[q.number] = true
		r.account.complete = append(r.account.complete, took)
		r.end(q)
	}
	if r.s.latency {
		return
	}
	if err := r.out.print(&m, now); err != nil {
		if isProblem(err) {
			err = fail(exitFailed, err)
		}
		r.fail(err)
	}
}

// whose finds the request that m replies to: by correlation data, or without them
// by its topic, and in 3.x the one that waits. r.mu is held.
func (r *inquirer) whose(m *client.Message) (n int, ours bool) {
	if r.secret == "" {
		for _, q := range r.waiting {
			if !q.over {
				return q.number, true
			}
		}
		return len(r.answered) - 1, len(r.answered) > 0
	}
	data, ok := m.Properties.Bytes(mqtt.PropCorrelationData)
	switch {
	case ok && r.given != nil:
		return 0, bytes.Equal(data, r.given)
	case ok:
		number, found := strings.CutPrefix(string(data), r.secret+"-")
		return r.number(number, found)
	case r.numbered():
		number, found := strings.CutPrefix(m.Topic, r.topic+"/")
		return r.number(number, found)
	}
	return 0, !r.many // nobody else has the topic, or -e says that all count
}

func (r *inquirer) number(text string, found bool) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, found && err == nil && n >= 0 && n < r.account.requests
}

// fail ends the run with err. r.mu is held.
func (r *inquirer) fail(err error) {
	if r.failure == nil {
		r.failure = err
		r.Halt()
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *inquirer) flush() {
	if err := r.out.flush(); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fail(err)
	}
}
