package broker

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// publishSys updates the $SYS tree, with the topics that mosquitto uses, so
// that existing dashboards read it.
func (b *Broker) publishSys() {
	st := &b.stats
	connected, sessions := st.Connected.Load(), int64(b.Sessions())
	kept, keptBytes := b.Retained()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	values := map[string]uint64{
		"clients/total":              uint64(sessions),
		"clients/connected":          uint64(connected),
		"clients/active":             uint64(connected),
		"clients/disconnected":       uint64(max(0, sessions-connected)),
		"clients/inactive":           uint64(max(0, sessions-connected)),
		"clients/maximum":            uint64(st.ConnectedMax.Load()),
		"clients/expired":            st.SessionsExpired.Load(),
		"connections/socket/count":   st.Connections.Load(),
		"bytes/received":             st.BytesReceived.Load(),
		"bytes/sent":                 st.BytesSent.Load(),
		"messages/received":          st.PacketsReceived.Total(),
		"messages/sent":              st.PacketsSent.Total(),
		"messages/stored":            uint64(kept),
		"publish/messages/received":  st.PublishReceived.Load(),
		"publish/messages/sent":      st.PublishSent.Load(),
		"publish/messages/dropped":   st.Dropped(),
		"publish/bytes/received":     st.PublishBytesReceived.Load(),
		"publish/bytes/sent":         st.PublishBytesSent.Load(),
		"subscriptions/count":        uint64(st.Subscriptions.Load()),
		"shared_subscriptions/count": uint64(st.SharedSubscriptions.Load()),
		"retained messages/count":    uint64(kept),
		"store/messages/count":       uint64(kept),
		"store/messages/bytes":       uint64(keptBytes),
		"heap/current":               mem.HeapAlloc,
		"heap/maximum":               mem.HeapSys,
	}
	for why := range session.Drop(session.Drops) {
		values["publish/messages/dropped/"+why.String()] = st.Drops[why].Load()
	}
	for i, name := range packetNames {
		values["mqtt/"+name+"/received"] = st.PacketsReceived[i+1].Load()
		values["mqtt/"+name+"/sent"] = st.PacketsSent[i+1].Load()
	}
	for topic, v := range values {
		b.publishSysTopic(topic, strconv.FormatUint(v, 10))
	}
	for topic, v := range b.rates.update(time.Now(), values) {
		b.publishSysTopic(topic, v)
	}
	b.publishSysTopic("uptime", fmt.Sprintf("%d seconds", int(time.Since(b.started).Seconds())))
	if b.cfg.Version != "" {
		b.publishSysTopic("version", b.cfg.Version)
	}
	if b.cfg.MoreSys != nil {
		b.publishMoreSys(b.cfg.MoreSys())
	}
}

// publishMoreSys publishes values, and removes those that were among them at
// the last update and are gone.
func (b *Broker) publishMoreSys(values map[string]string) {
	for topic := range b.moreSys {
		if _, still := values[topic]; !still {
			b.publishSysTopic(topic, "")
		}
	}
	for topic, v := range values {
		b.publishSysTopic(topic, v)
	}
	b.moreSys = values
}

// packetNames are the control packet types from 1 on, as topics.
var packetNames = [...]string{
	"connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe",
	"suback", "unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect", "auth",
}

// publishSysTopic publishes a value unless it is what the topic has already.
func (b *Broker) publishSysTopic(topic, value string) {
	topic = "$SYS/broker/" + topic
	if old, ok := b.retained.Get(topic); ok && string(old.message.Payload) == value {
		return
	}
	bt := b.newBatch()
	b.publishInternal(&message.Message{
		Topic: topic, Payload: []byte(value), QoS: 2, Retain: true, Published: time.Now(),
	}, bt)
	b.commitQuietly(bt)
}

// loads are the rates of $SYS/broker/load: moving averages per minute over 1,
// 5 and 15 minutes.
type loads struct {
	last     time.Time
	previous map[string]uint64
	average  map[string]*[3]float64
}

// loadTopics maps a counter to its topic below load/.
var loadTopics = map[string]string{
	"messages/received":         "messages/received",
	"messages/sent":             "messages/sent",
	"publish/messages/received": "publish/received",
	"publish/messages/sent":     "publish/sent",
	"publish/messages/dropped":  "publish/dropped",
	"bytes/received":            "bytes/received",
	"bytes/sent":                "bytes/sent",
	"connections/socket/count":  "sockets",
	"mqtt/connect/received":     "connections",
}

// update returns the averages after the counters have moved on to values.
func (l *loads) update(now time.Time, values map[string]uint64) map[string]string {
	out := map[string]string{}
	elapsed := now.Sub(l.last).Minutes()
	first := l.last.IsZero()
	l.last = now
	if first {
		l.previous, l.average = map[string]uint64{}, map[string]*[3]float64{}
	}
	for counter, topic := range loadTopics {
		avg := l.average[counter]
		if avg == nil {
			avg = new([3]float64)
			l.average[counter] = avg
		}
		if !first && elapsed > 0 {
			rate := float64(values[counter]-l.previous[counter]) / elapsed
			for i, minutes := range [...]float64{1, 5, 15} {
				keep := math.Exp(-elapsed / minutes)
				avg[i] = rate + keep*(avg[i]-rate)
				out[fmt.Sprintf("load/%s/%gmin", topic, minutes)] = strconv.FormatFloat(avg[i], 'f', 2, 64)
			}
		}
		l.previous[counter] = values[counter]
	}
	return out
}
