package dissect

import (
	"cmp"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// snState is what one conversation has said so far.
type snState struct {
	open   recent[snKey, *snOpen]
	topics recent[snTopicKey, string]
}

// snKey is where a message waits for its answer: what it is, from whom, of which
// node behind a forwarder, and its identifier, 0 for none.
type snKey struct {
	from Direction
	node string
	typ  mqttsn.Type
	id   uint16
}

// snOpen is a message that waits, and the topic that it is about.
type snOpen struct {
	asked
	topic string
}

// snTopicKey is a topic identifier of a node.
type snTopicKey struct {
	node string
	id   uint16
}

// snAnswers are the types that each type answers, the likelier first.
var snAnswers = sync.OnceValue(func() map[mqttsn.Type][]mqttsn.Type {
	return map[mqttsn.Type][]mqttsn.Type{
		mqttsn.TypeRegack:        {mqttsn.TypeRegister},
		mqttsn.TypePuback:        {mqttsn.TypePublish},
		mqttsn.TypePubrec:        {mqttsn.TypePublish},
		mqttsn.TypePubrel:        {mqttsn.TypePubrec},
		mqttsn.TypePubcomp:       {mqttsn.TypePubrel},
		mqttsn.TypeSuback:        {mqttsn.TypeSubscribe},
		mqttsn.TypeUnsuback:      {mqttsn.TypeUnsubscribe},
		mqttsn.TypeConnack:       {mqttsn.TypeWillMsg, mqttsn.TypeWillTopic, mqttsn.TypeConnect},
		mqttsn.TypeWillTopicReq:  {mqttsn.TypeConnect},
		mqttsn.TypeWillTopic:     {mqttsn.TypeWillTopicReq},
		mqttsn.TypeWillMsgReq:    {mqttsn.TypeWillTopic},
		mqttsn.TypeWillMsg:       {mqttsn.TypeWillMsgReq},
		mqttsn.TypeWillTopicResp: {mqttsn.TypeWillTopicUpd},
		mqttsn.TypeWillMsgResp:   {mqttsn.TypeWillMsgUpd},
		mqttsn.TypePingresp:      {mqttsn.TypePingreq},
		mqttsn.TypeDisconnect:    {mqttsn.TypeDisconnect},
		mqttsn.TypeGWInfo:        {mqttsn.TypeSearchGW},

		mqttsn.TypeConnackV2:    {mqttsn.TypeConnectV2},
		mqttsn.TypePubackV2:     {mqttsn.TypePublishV2},
		mqttsn.TypePubrecV2:     {mqttsn.TypePublishV2},
		mqttsn.TypePubrelV2:     {mqttsn.TypePubrecV2},
		mqttsn.TypePubcompV2:    {mqttsn.TypePubrelV2},
		mqttsn.TypeSubackV2:     {mqttsn.TypeSubscribeV2},
		mqttsn.TypeUnsubackV2:   {mqttsn.TypeUnsubscribeV2},
		mqttsn.TypeRegackV2:     {mqttsn.TypeRegisterV2},
		mqttsn.TypePingrespV2:   {mqttsn.TypePingreqV2},
		mqttsn.TypeDisconnectV2: {mqttsn.TypeDisconnectV2},
		mqttsn.TypeSleeprespV2:  {mqttsn.TypeSleepreqV2},
		mqttsn.TypeGWInfoV2:     {mqttsn.TypeSearchGWV2},
	}
})

// snAsks are the types that wait for an answer.
var snAsks = sync.OnceValue(func() map[mqttsn.Type]bool {
	all := make(map[mqttsn.Type]bool)
	for _, list := range snAnswers() {
		for _, t := range list {
			all[t] = true
		}
	}
	return all
})

// relate compares the message with those before it, of the same node.
func (w *snWalk) relate(t mqttsn.Type, m mqttsn.Message) {
	if w.st == nil {
		return
	}
	s := sharedOf(w.st, func() *snState { return new(snState) })
	id := w.messageID()
	var before *snOpen
	for _, asks := range snAnswers()[t] {
		key := snKey{w.st.direction().peer(), w.node, asks, id}
		if o, ok := s.open.get(key); ok && o != nil {
			before = o
			s.open.put(key, nil)
			w.p.answer(o.asked, w.st)
			break
		}
	}
	topic := w.learn(s, m, before)
	qos0 := (t == mqttsn.TypePublish || t == mqttsn.TypePublishV2) && id == 0
	if snAsks()[t] && !qos0 && (before == nil || t != mqttsn.TypeDisconnect && t != mqttsn.TypeDisconnectV2) {
		s.open.put(snKey{w.st.direction(), w.node, t, id}, &snOpen{askedBy(w.st), topic})
	}
}

// messageID is the identifier that an answer has, too.
func (w *snWalk) messageID() uint16 {
	for i := range w.fields {
		if f := &w.fields[i]; f.Name == "message identifier" || f.Name == "packet identifier" {
			n, _ := f.Value.(uint64)
			return uint16(n)
		}
	}
	return 0
}

// learn takes what m says of topic identifiers, before is what it answers, and has
// the summary and the field of an identifier name the topic. It returns the topic
// that an answer to m is about.
func (w *snWalk) learn(s *snState, m mqttsn.Message, before *snOpen) string {
	name := func(id uint16, topic string) {
		if id != 0 && topic != "" && len(topic) <= mostPath {
			s.topics.put(snTopicKey{w.node, id}, topic)
		}
	}
	switch m := m.(type) {
	case mqttsn.Register:
		name(m.TopicID, m.Topic)
		return m.Topic
	case mqttsn.RegisterV2:
		if m.HasAlias {
			name(m.Alias, m.Topic)
		}
		return m.Topic
	case mqttsn.Subscribe:
		if m.Kind == mqttsn.NormalTopic && !snWild(m.Filter) {
			return m.Filter
		}
	case mqttsn.SubscribeV2:
		if m.Topic.Kind == mqttsn.TopicNameV2 && !snWild(string(m.Topic.Name)) {
			return string(m.Topic.Name)
		}
	case mqttsn.Regack:
		w.learned(name, m.TopicID, m.Code == mqttsn.Accepted, before)
		w.call(s, m.TopicID)
	case mqttsn.Suback:
		w.learned(name, m.TopicID, m.Code == mqttsn.Accepted, before)
		w.call(s, m.TopicID)
	case mqttsn.RegackV2:
		w.learned(name, m.Alias, m.Code < 0x80, before)
	case mqttsn.SubackV2:
		w.learned(name, m.Alias, m.HasAlias && m.Code < 0x80, before)
	case mqttsn.Publish:
		if m.Kind == mqttsn.NormalTopic && m.Name == nil {
			w.call(s, m.TopicID)
		}
	case mqttsn.PublishV2:
		if m.Topic.Kind != mqttsn.TopicNameV2 {
			w.call(s, m.Topic.Alias)
		}
	case mqttsn.Puback:
		w.call(s, m.TopicID)
	}
	return ""
}

// learned takes the identifier that an answer gives to the topic it was asked for.
func (w *snWalk) learned(name func(uint16, string), id uint16, ok bool, before *snOpen) {
	if ok && before != nil {
		name(id, before.topic)
	}
}

// call puts the name of topic id into the field and the summary.
func (w *snWalk) call(s *snState, id uint16) {
	topic, ok := s.topics.get(snTopicKey{w.node, id})
	if !ok {
		return
	}
	quoted := strconv.Quote(topic)
	for i := range w.fields {
		if f := &w.fields[i]; (f.Name == "topic identifier" || f.Name == "topic alias") && f.Value == uint64(id) {
			f.Note = cmp.Or(f.Note, "topic") + " " + quoted
		}
	}
	w.topic = quoted
}

func snWild(filter string) bool {
	for _, c := range filter {
		if c == '#' || c == '+' {
			return true
		}
	}
	return false
}

// Finish implements Finisher.
func (d MQTTSN) Finish(st *Stream) []Open {
	s := sharedOf(st, func() *snState { return new(snState) })
	var all []Open
	for _, list := range []map[snKey]*snOpen{s.open.old, s.open.young} {
		for key, o := range list {
			if newer, ok := s.open.get(key); o == nil || o.number == 0 || ok && newer != o {
				continue
			}
			text := key.typ.String() + " has no answer"
			if key.node != "" {
				text = "node " + hex.EncodeToString([]byte(key.node)) + ": " + text
			}
			all = append(all, Open{o.number, Problem{Text: text, Warning: true}})
		}
	}
	slices.SortFunc(all, func(a, b Open) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// Size implements Sizer. An envelope does not say how long its message is.
func (d MQTTSN) Size(b []byte) int {
	h, _, n, err := mqttsn.Frame(b, d.version())
	if err != nil && !errors.Is(err, mqttsn.ErrShort) || len(b) < max(h.Bytes, 1) || h.Type == mqttsn.TypeEncapsulated {
		return 0
	}
	return n
}
