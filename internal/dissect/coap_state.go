package dissect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/coap"
	"github.com/iotctl/iotctl/internal/codec/lwm2m"
)

// coapState is what one conversation has said so far. Either side sends requests.
type coapState struct {
	side     [3]coapSide // by direction of the sender
	extended bool        // tokens of more than 8 bytes are agreed on
}

// coapSide is what one side has sent.
type coapSide struct {
	requests recent[string, *coapRequest]  // by token
	messages recent[uint16, *coapDelivery] // by message id
	seen     bool
}

// coapAbout is what a message speaks of.
type coapAbout struct {
	path   string
	object lwm2m.Path
	known  bool // that of the request, or its own
	lwm2m  bool // object is the path
}

// coapRequest is a request that was sent.
type coapRequest struct {
	asked
	about    coapAbout
	code     coap.Code
	answered bool
	silence  bool // no answer is wanted
}

// coapDelivery is a message that may be acknowledged or sent again.
type coapDelivery struct {
	asked
	typ   coap.Type
	code  coap.Code
	token string
}

// coapRemembered is how many requests, and how many messages, of a side are known
// at least.
const coapRemembered = 2048

// coapLifetime is how long a message id stands for one message. RFC 7252 §4.8.2
const coapLifetime = 247 * time.Second

// mostPath is how much of a path is remembered.
const mostPath = 256

// recent is a map of what was put last.
type recent[K comparable, V any] struct{ young, old map[K]V }

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = r.young[k]; ok {
		return v, true
	}
	v, ok = r.old[k]
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if len(r.young) >= coapRemembered {
		r.old, r.young = r.young, nil
	}
	if r.young == nil {
		r.young = make(map[K]V)
	}
	r.young[k] = v
}

func coapStateOf(st *Stream) *coapState {
	return sharedOf(st, func() *coapState { return new(coapState) })
}

// peer is the direction of what answers d.
func (d Direction) peer() Direction {
	switch d {
	case FromClient:
		return FromServer
	case FromServer:
		return FromClient
	}
	return Unknown
}

// relate compares the message with those before it.
func (w *coapWalk) relate() {
	w.about = aboutOf(w.m)
	if w.st == nil {
		return
	}
	own, other := &w.state.side[w.st.direction()], &w.state.side[w.st.direction().peer()]
	if w.d.Over == OverUDP {
		w.deliver(own, other)
	} else {
		w.signal(own)
	}
	own.seen = true
	switch {
	case w.m.Code.Request():
		w.request(own)
	case w.m.Code.Response():
		w.response(other)
	}
}

// aboutOf is what the options of m say.
func aboutOf(m *coap.Message) coapAbout {
	if !m.Code.Request() {
		return coapAbout{}
	}
	path := m.Options.AppendPath(nil, coap.URIPath)
	a := coapAbout{path: string(path[:min(len(path), mostPath)]), known: true}
	if a.path == "" {
		a.path = "/"
		return a
	}
	a.object, a.lwm2m = lwm2m.ParsePath(a.path)
	return a
}

// deliver compares message ids. RFC 7252 §4
func (w *coapWalk) deliver(own, other *coapSide) {
	m := w.m
	if m.Type == coap.Acknowledgement || m.Type == coap.Reset {
		sent, ok := other.messages.get(m.MessageID)
		switch {
		case ok && m.Type == coap.Acknowledgement && sent.typ != coap.Confirmable:
			w.problem(0, 1, "an acknowledgement of a message that is not confirmable", "RFC 7252 §4.3")
		case ok && m.Code.Response() && sent.token != string(m.Token):
			w.problem(0, len(w.b), "the token of the response is not that of the request with its message id", "RFC 7252 §5.3.2")
			w.p.answer(sent.asked, w.st)
		case ok:
			w.p.answer(sent.asked, w.st)
		}
		return
	}
	before, ok := own.messages.get(m.MessageID)
	if ok && (before.at.IsZero() || w.st.Time.Sub(before.at) < coapLifetime) {
		if before.code == m.Code && before.token == string(m.Token) && before.typ == m.Type {
			w.say("again")
			return
		}
		w.problem(2, 2, fmt.Sprintf("message id %d is still in use for another message", m.MessageID), "RFC 7252 §4.4")
	}
	own.messages.put(m.MessageID, &coapDelivery{askedBy(w.st), m.Type, m.Code, string(m.Token)})
}

// signal takes what both sides have to know of signals. RFC 8323 §5.3
func (w *coapWalk) signal(own *coapSide) {
	if !own.seen && !w.st.Joined && w.m.Code != coap.CSM && w.st.direction() != Unknown {
		w.problem(0, len(w.b), "the first message is no CSM", "RFC 8323 §5.3")
	}
	if w.m.Code == coap.CSM {
		if n, ok := w.m.Options.Uint(coap.ExtendedTokenLength); ok && n > coap.MaxToken {
			w.state.extended = true
		}
	}
	other := &w.state.side[w.st.direction().peer()]
	switch w.m.Code {
	case coap.Ping:
		w.request(own)
	case coap.Pong:
		w.response(other)
	}
}

func (w *coapWalk) request(own *coapSide) {
	token := string(w.m.Token)
	if before, ok := own.requests.get(token); ok && slices.Contains(w.said, "again") {
		before.at = w.st.Time
		return
	}
	r := &coapRequest{asked: askedBy(w.st), about: w.about, code: w.m.Code}
	if n, ok := w.m.Options.Uint(coap.NoResponse); ok && n != 0 && !w.m.Code.Signal() {
		r.silence = true
	}
	own.requests.put(token, r)
}

func (w *coapWalk) response(other *coapSide) {
	r, ok := other.requests.get(string(w.m.Token))
	if !ok {
		return
	}
	r.answered = true
	w.about = r.about
	w.p.answer(r.asked, w.st)
}

func (w *coapWalk) problem(off, size int, text, rule string) {
	w.p.Problems = append(w.p.Problems, Problem{Off: off, Len: size, Text: text, Rule: rule})
}

// Finish implements Finisher: requests that nobody has answered.
func (d COAP) Finish(st *Stream) []Open {
	state := coapStateOf(st)
	var open []Open
	for i := range state.side {
		for _, requests := range []map[string]*coapRequest{state.side[i].requests.old, state.side[i].requests.young} {
			for _, r := range requests {
				if !r.answered && !r.silence && r.number > 0 {
					open = append(open, Open{r.number, Problem{Text: strings.TrimSpace(r.code.Name()+" "+r.about.path) + " has no answer", Warning: true}})
				}
			}
		}
	}
	slices.SortFunc(open, func(a, b Open) int { return a.Number - b.Number })
	return open
}
