package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// names are what a template takes of a client.
type names struct{ client, user string }

func validateTemplate(path, s string) error {
	if _, err := expand(s, names{"c", "u"}, keep); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func keep(s string) (string, error) { return s, nil }

// expand puts names into a template, each as made ready by escape.
func expand(template string, n names, escape func(string) (string, error)) (string, error) {
	if !strings.Contains(template, "%") {
		return template, nil
	}
	var b strings.Builder
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "%")
		b.WriteString(before)
		if !found {
			break
		}
		var name string
		switch {
		case strings.HasPrefix(after, "c"):
			name = n.client
		case strings.HasPrefix(after, "u"):
			name = n.user
		case strings.HasPrefix(after, "%"):
			b.WriteByte('%')
			rest = after[1:]
			continue
		default:
			return "", fmt.Errorf("%q: after %% want c, u or %%", template)
		}
		name, err := escape(name)
		if err != nil {
			return "", fmt.Errorf("%q: %w", template, err)
		}
		b.WriteString(name)
		rest = after[1:]
	}
	if b.Len() > mqtt.MaxFieldBytes {
		return "", errors.New("longer than 65535 bytes")
	}
	return b.String(), nil
}

// level lets a name be a level of a topic, or a part of one.
func level(name string) (string, error) {
	if name == "" {
		return "", errors.New("the client has no such name")
	}
	if strings.ContainsAny(name, "+#/\x00") {
		return "", fmt.Errorf("the name %.40q cannot be a level of a topic", name)
	}
	return name, nil
}
