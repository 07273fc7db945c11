//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// answering is a broker as far as requests go: each PUBLISH is given to reply,
// with its number from 0.
type answering struct {
	client.API
	reply func(n int, m client.Message)
	n     int
	done  chan struct{}
}

func (a *answering) Publish(_ context.Context, m client.Message, _ func(client.Outcome)) error {
	a.n++
	a.reply(a.n-1, m)
	return nil
}

func (a *answering) Done() <-chan struct{} { return a.done }
func (a *answering) Halt()                 {}

// inquire runs requests against reply in a bubble of synctest, and returns their
// account and what is printed.
func inquire(t *testing.T, s *settings, reply func(r *inquirer, n int, m client.Message)) (requestAccount, string, error) {
	t.Helper()
	var out strings.Builder
	term := &terminal{out: &out, err: &out, name: "iotctl"}
	printer, err := newPrinter(s, term)
	if err != nil {
		t.Fatal(err)
	}
	broker := &answering{}
	r := &inquirer{
		engine: &engine{API: broker, s: s, t: term}, out: printer, many: s.repeat > 1,
		wake: make(chan struct{}, 1), byNumber: map[int]*inquiry{}, request: client.Message{Topic: "ask"},
	}
	broker.reply = func(n int, m client.Message) { reply(r, n, m) }
	r.address(client.Connack{})
	err = r.finish(r.run(context.Background()))
	if e := printer.close(); e != nil {
		t.Error(e)
	}
	return r.account, out.String(), err
}

// answer is a reply to m.
func answer(m client.Message, payload string) client.Message {
	topic, _ := m.Properties.String(mqtt.PropResponseTopic)
	data, _ := m.Properties.Bytes(mqtt.PropCorrelationData)
	var p mqtt.Properties
	return client.Message{Topic: topic, Payload: []byte(payload), Properties: p.AppendBytes(mqtt.PropCorrelationData, data)}
}

func requests(n, concurrency int) *settings {
	s := newSettings(progRequest, false)
	s.repeat, s.call.concurrency = n, concurrency
	return s
}

func TestRepliesAreMatchedInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held []client.Message
		a, out, err := inquire(t, requests(3, 3), func(r *inquirer, n int, m client.Message) {
			held = append(held, answer(m, string(rune('a'+n))))
			if n == 2 {
				go func() {
					time.Sleep(time.Second)
					for _, i := range []int{1, 0, 2} {
						r.receive(held[i])
					}
				}()
			}
		})
		if err != nil || a.answered != 3 || a.lost != 0 || len(a.first) != 3 {
			t.Errorf("%v: %+v", err, a)
		}
		if !strings.HasPrefix(out, "b\na\nc\n") {
			t.Errorf("%q", out)
		}
	})
}

func TestLostAndLateRepliesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late client.Message
		a, out, err := inquire(t, requests(3, 1), func(r *inquirer, n int, m client.Message) {
			switch n {
			case 0: // comes while the next one waits
				late = answer(m, "late")
			case 1:
				go func() {
					time.Sleep(time.Second)
					r.receive(late)
					r.receive(answer(m, "in time"))
					r.receive(answer(m, "twice"))
				}()
			case 2: // never
			}
		})
		if codeOf(err) != exitTimeout || !strings.Contains(err.Error(), "2 of 3 requests had no reply within 5s") {
			t.Errorf("%v", err)
		}
		if a.answered != 1 || a.lost != 2 || a.late != 1 || a.surplus != 1 || a.replies != 1 || a.open() != 0 {
			t.Errorf("%+v", a)
		}
		if a.first[0] != time.Second || a.took != 0 {
			t.Errorf("latency %v", a.first)
		}
		if !strings.HasPrefix(out, "in time\n") || !strings.Contains(out, "3 requests, 1 answered, 2 lost, 1 late replies, 1 replies more than were waited for") {
			t.Errorf("%q", out)
		}
	})
}

func TestForeignMessagesAreNoReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := requests(1, 1)
		a, out, err := inquire(t, s, func(r *inquirer, _ int, m client.Message) {
			for _, data := range []string{"", "x", r.secret, r.secret + "-", r.secret + "-1", r.secret + "--1", r.secret + "-9999999999999999999"} {
				foreign := answer(m, "foreign")
				foreign.Properties = mqtt.Properties(nil).AppendBytes(mqtt.PropCorrelationData, []byte(data))
				go r.receive(foreign)
			}
			synctest.Wait()
		})
		if codeOf(err) != exitTimeout || a.foreign != 7 || a.lost != 1 || out != "" {
			t.Errorf("%v: %+v %q", err, a, out)
		}
	})
}

// Who copies no correlation data is understood by the response topic.
func TestRepliesWithoutCorrelationDataAreMatchedByTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, err := inquire(t, requests(2, 2), func(r *inquirer, _ int, m client.Message) {
			plain := answer(m, "plain")
			plain.Properties = nil
			go r.receive(plain)
		})
		if err != nil || a.answered != 2 {
			t.Errorf("%v: %+v", err, a)
		}
	})
}

func TestReplyTopicsAreBelowWhatTheBrokerOffers(t *testing.T) {
	offer := client.Connack{Properties: mqtt.Properties(nil).AppendString(mqtt.PropResponseInformation, "clients/me/")}
	for _, tt := range []struct{ prefix, topic, want string }{
		{"", "", "clients/me/"},
		{"chosen", "", "chosen/"},
		{"", "exact", "exact"},
	} {
		s := requests(1, 1)
		s.call.responsePrefix, s.responseTopic = tt.prefix, tt.topic
		r := &inquirer{engine: &engine{s: s}}
		r.address(offer)
		if !strings.HasPrefix(r.topic, tt.want) || tt.topic == "" && len(r.topic) != len(tt.want)+16 {
			t.Errorf("%+v: %q", tt, r.topic)
		}
	}
}

// Neither what a command has started nor what we have started for it stays.
func TestCommandsLeaveNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newSettings(progReply, false)
	s.call.maxOutput = 1000
	for _, tt := range []struct{ command, want, problem string }{
		{"cat", "asked", ""},
		{"sleep 60 & echo done", "done\n", ""},
		{"sleep 60", "", "the command takes longer than 100ms"},
		{"yes", "", "the command prints more than 1000 bytes"},
		{"exit 7", "", "exit status 7"},
		{"kill -9 $$", "", "signal: killed"},
	} {
		s.call.command = tt.command
		s.call.timeLimit = time.Minute
		if tt.command == "sleep 60" {
			s.call.timeLimit = 100 * time.Millisecond
		}
		out, err := s.runCommand(t.Context(), t.Output(), []byte("asked"), os.Environ())
		if problem := fmt.Sprint(err); string(out) != tt.want || tt.problem != "" && problem != tt.problem || tt.problem == "" && err != nil {
			t.Errorf("%s: %q, %v", tt.command, out, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.call.command = "echo never"
	if out, err := s.runCommand(ctx, t.Output(), nil, os.Environ()); err == nil {
		t.Errorf("%q after the end", out)
	}
}

func TestIncompleteRequestsAreNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := requests(2, 2)
		s.call.replies = 2
		a, _, err := inquire(t, s, func(r *inquirer, n int, m client.Message) {
			go r.receive(answer(m, "one"))
			if n == 0 {
				go func() {
					time.Sleep(time.Second)
					r.receive(answer(m, "two"))
				}()
			}
		})
		if codeOf(err) != exitTimeout || a.answered != 1 || a.incomplete != 1 || a.replies != 3 {
			t.Errorf("%v: %+v", err, a)
		}
		if len(a.complete) != 1 || a.complete[0] != time.Second {
			t.Errorf("complete after %v", a.complete)
		}
		if text := strings.Join(a.text(), "\n"); !strings.Contains(text, "last reply:  p50 1s") {
			t.Errorf("%s", text)
		}
	})
}

func TestPercentilesAreTimesThatWereMeasured(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Second)
	}
	if p := percentilesOf(times); *p != (percentiles{50, 90, 95, 99, 100}) {
		t.Errorf("%+v", p)
	}
	if p := percentilesOf(times[:1]); *p != (percentiles{1, 1, 1, 1, 1}) {
		t.Errorf("%+v", p)
	}
	if p := percentilesOf(times[:3]); *p != (percentiles{2, 3, 3, 3, 3}) {
		t.Errorf("%+v", p)
	}
	if percentilesOf(nil) != nil {
		t.Error("percentiles of nothing")
	}
}

func TestReplyTopicsAreFilledIn(t *testing.T) {
	for _, tt := range []struct{ template, topic, want string }{
		{"answer/%2", "ask/me", "answer/me"},
		{"%t/answer", "a/b", "a/b/answer"},
		{"%9/%1", "a", "/a"},
		{"100%%/%1", "a", "100%/a"},
	} {
		if err := checkReplyTopics(tt.template); err != nil {
			t.Errorf("%q: %v", tt.template, err)
		}
		if got := fillTopic(tt.template, tt.topic); got != tt.want {
			t.Errorf("%q of %q: %q, want %q", tt.template, tt.topic, got, tt.want)
		}
	}
	for _, bad := range []string{"%", "a/%", "%0", "%x", "a/+", "#", ""} {
		if checkReplyTopics(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestRepliesByTemplateAreNoRequests(t *testing.T) {
	s := newSettings(progReply, false)
	s.topics, s.call.replyTopics = []string{"$share/g/ask/#"}, "%t/answer"
	if topic, problem := s.replyTo(&client.Message{Topic: "ask/me"}); problem == "" {
		t.Errorf("the reply goes to %q", topic)
	}
	// What a request names is its own affair.
	m := client.Message{Topic: "ask/me", Properties: mqtt.Properties(nil).AppendString(mqtt.PropResponseTopic, "ask/me/too")}
	if topic, problem := s.replyTo(&m); topic != "ask/me/too" {
		t.Errorf("%q: %s", topic, problem)
	}
	m.Properties = mqtt.Properties(nil).AppendString(mqtt.PropResponseTopic, "a/#")
	if topic, problem := s.replyTo(&m); problem == "" {
		t.Errorf("the reply goes to %q", topic)
	}
}

// What a request carries never keeps a command from being run.
func TestEnvironmentOfCommandsIsBounded(t *testing.T) {
	t.Setenv("IOTCTL_PASSWORD", "s3cret")
	var p mqtt.Properties
	for range 3 {
		p = p.AppendUserProperty(strings.Repeat("n", 60000), "v")
	}
	p = p.AppendBytes(mqtt.PropCorrelationData, []byte(strings.Repeat("\xff", 65535)))
	p = p.AppendString(mqtt.PropContentType, "a\x00b")
	env := environmentOf(&call{request: client.Message{Topic: strings.Repeat("t", 65535), Properties: p}})
	found := 0
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		switch name {
		case "REQUEST_USER_PROPERTIES", "REQUEST_CORRELATION", "REQUEST_CONTENT_TYPE":
			found++
			if value != "" {
				t.Errorf("%s has %d bytes", name, len(value))
			}
		}
		if strings.HasPrefix(v, "IOTCTL_") {
			t.Errorf("the command sees %s", name)
		}
	}
	if found != 3 {
		t.Errorf("%d of three variables", found)
	}
	s := newSettings(progReply, false)
	s.call.command = "echo ${#REQUEST_TOPIC}"
	if out, err := s.runCommand(t.Context(), t.Output(), nil, env); err != nil || string(out) != "65535\n" {
		t.Errorf("%q, %v", out, err)
	}
}
