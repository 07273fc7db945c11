package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/traffic"
)

// topicRecord is a topic in the JSON of top.
type topicRecord struct {
	Topic    string    `json:"topic"`
	Rate     float64   `json:"messages_per_second"`
	ByteRate float64   `json:"bytes_per_second"`
	Messages uint64    `json:"messages"`
	Bytes    uint64    `json:"bytes"`
	QoS      [3]uint64 `json:"qos"` // messages by QoS
	Retained bool      `json:"retained"`
	Size     int       `json:"size"`
	Last     time.Time `json:"last"`
	Encoding string    `json:"encoding"` // of value: text or base64
	Value    string    `json:"value"`    // the beginning of the last one
}

func recordOf(r *traffic.Row) topicRecord {
	out := topicRecord{
		Topic: r.Topic, Rate: r.Rate, ByteRate: r.ByteRate, Messages: r.Messages, Bytes: r.Bytes, QoS: r.QoS,
		Retained: r.Retained, Size: r.Size, Last: r.Last, Encoding: "text", Value: string(r.Value),
	}
	if !utf8.Valid(r.Value) {
		out.Encoding, out.Value = "base64", base64.StdEncoding.EncodeToString(r.Value)
	}
	return out
}

// writeTopics writes rows as JSON: one object with the totals, or one for each row.
func writeTopics(w io.Writer, whole bool, now time.Time, rows []traffic.Row, t *traffic.Totals) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	records := make([]topicRecord, len(rows))
	for i := range rows {
		records[i] = recordOf(&rows[i])
		if whole {
			continue
		}
		if err := out.Encode(records[i]); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	out.SetIndent("", "  ")
	return out.Encode(struct {
		Time      time.Time     `json:"time"`
		Seconds   float64       `json:"seconds"`
		Topics    int           `json:"topics"`
		Matching  int           `json:"matching"`
		Forgotten uint64        `json:"forgotten_topics"`
		Missing   uint64        `json:"forgotten_messages"`
		Rate      float64       `json:"messages_per_second"`
		ByteRate  float64       `json:"bytes_per_second"`
		Messages  uint64        `json:"messages"`
		Bytes     uint64        `json:"bytes"`
		QoS       [3]uint64     `json:"qos"`
		Rows      []topicRecord `json:"rows"`
	}{
		now, now.Sub(t.Since).Seconds(), t.Topics, t.Matching, t.Forgotten, t.ForgottenMessages,
		t.Rate, t.ByteRate, t.Messages, t.Bytes, t.QoS, records,
	})
}
