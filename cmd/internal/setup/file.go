package setup

import (
	"bytes"
	_ "embed"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

//go:embed persona.yaml.tmpl
var fileTemplate string

// render returns the configuration as YAML with comments.
func (a *answers) render() ([]byte, error) {
	// The websites of domains that are signed for and served elsewhere, for
	// hub.relying_parties: by default only sites of our own hosts may ask.
	var sites []string
	for _, domain := range split(a.text("certifies")) {
		sites = append(sites, "https://"+domain, "https://*."+domain)
	}
	file, err := template.New("persona.yaml").Funcs(template.FuncMap{
		"has":   a.has,
		"is":    func(flag, text string) bool { return a.text(flag) == text },
		"plain": a.text,
		"text":  func(flag string) string { return yamlText(a.text(flag)) },
		"list":  func(flag string) string { return yamlList(a.text(flag)) },
		"sites": func() string { return yamlList(strings.Join(sites, ",")) },
	}).Parse(fileTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := file.Execute(&b, nil); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// plainText is what needs no quotes in YAML: it begins with a letter or a slash
// and has no sign that means something there.
var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9._/=@+-]*(:[A-Za-z0-9._/=@+-]+)*$`)

// yamlText returns a text as one YAML value. A quoted string of Go is one: YAML
// has all its escapes.
func yamlText(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
	default:
		if plainText.MatchString(text) {
			return text
		}
	}
	return strconv.Quote(text)
}

// yamlList returns texts that are separated by commas or blanks as a YAML list.
func yamlList(texts string) string {
	items := split(texts)
	for i := range items {
		items[i] = yamlText(items[i])
	}
	return "[" + strings.Join(items, ", ") + "]"
}
