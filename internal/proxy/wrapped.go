package proxy

import "strings"

// Wrapped takes off what some brokers let stand before a topic, which is what rules and
// names are about: "$queue/T" and "$exclusive/T" of subscriptions, "$delayed/SECONDS/T"
// of messages, "$share/GROUP/T". topic is wrap and inner put together.
func Wrapped(topic string) (wrap, inner string) {
	inner = topic
	for strings.HasPrefix(inner, "$") {
		levels := 1
		switch first, _, _ := strings.Cut(inner, "/"); first {
		case "$queue", "$exclusive":
		case "$delayed", "$share":
			levels = 2
		default:
			return topic[:len(topic)-len(inner)], inner
		}
		rest := inner
		for range levels {
			_, rest, _ = strings.Cut(rest, "/")
		}
		if rest == "" {
			break
		}
		inner = rest
	}
	return topic[:len(topic)-len(inner)], inner
}
