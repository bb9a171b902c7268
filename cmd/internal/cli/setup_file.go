package cli

import (
	"bytes"
	_ "embed"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

//go:embed setup.yaml.tmpl
var setupFile string

// render returns the configuration as YAML with comments.
func (a *answers) render() ([]byte, error) {
	file, err := template.New("setup").Funcs(template.FuncMap{"text": yamlText, "list": yamlList}).Parse(setupFile)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := file.Execute(&b, a); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Sites are the websites of the domains that are signed for and served
// elsewhere, as hub.relying_parties takes them. Without being named they could
// not ask: by default only sites of our own hosts may.
func (a *answers) Sites() string {
	var sites []string
	for _, domain := range split(a.Certifies) {
		sites = append(sites, "https://"+domain, "https://*."+domain)
	}
	return strings.Join(sites, ",")
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

// yamlList returns texts that are parted by commas or blanks as a YAML list.
func yamlList(texts string) string {
	items := split(texts)
	for i := range items {
		items[i] = yamlText(items[i])
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// split returns texts that are parted by commas or blanks.
func split(texts string) []string {
	return strings.FieldsFunc(texts, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) })
}
