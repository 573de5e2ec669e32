/** Translations. The pages are in Portuguese; `?lang=en` switches to English and is remembered. */

const ENGLISH = {
  // phone
  "Telefone do cliente · Simulador": "The customer's phone · Simulator",
  "Telefone do cliente": "The customer's phone",
  "Converse com a empresa como se fosse um cliente no WhatsApp. Nada sai deste computador.":
    "Talk to the company as a customer on WhatsApp would. Nothing leaves this computer.",
  "Cliente": "Customer", "Conversa": "Conversation", "Nome": "Name",
  "Número com DDI e DDD": "Number with country and area code", "Abrir conversa": "Open conversation",
  "Controle do simulador": "Simulator control", ": falhas, prazos e registro.": ": faults, times and the log.",
  "Conta comercial": "Business account", "Mensagens": "Messages", "Mensagem": "Message", "Enviar": "Send",
  "Anexar": "Attach", "Cancelar": "Cancel", "digitando…": "typing…",
  "Sem contato com o simulador. Tentando de novo…": "The simulator does not answer. Trying again…",
  "A mensagem não foi enviada:": "The message was not sent:",
  "Nenhuma mensagem ainda. Diga oi para começar.": "No message yet. Say hello to begin.",
  "Foto, áudio, vídeo ou documento": "Photo, audio, video or document", "Figurinha (WebP)": "Sticker (WebP)",
  "Localização": "Location", "Contato": "Contact", "Imagem": "Image", "Vídeo": "Video", "Áudio": "Audio",
  "Documento": "Document", "Figurinha": "Sticker", "Enviada": "Sent", "Entregue": "Delivered", "Lida": "Read",
  "fora da janela de 24 horas": "outside the 24-hour window", "número não alcançável": "number cannot be reached",
  "a pessoa não recebe promoções": "the person takes no marketing", "arquivo recusado": "file refused",
  "Não chegou:": "Did not arrive:", "erro": "error", "Mensagem:": "Message:", "Copiar código": "Copy code",
  "Copiado": "Copied", "Reagir": "React", "Hoje": "Today", "English": "Português",
  // control
  "Controle · Simulador": "Control · Simulator",
  "Prazos, falhas e o registro do que chegou.": "Times, faults and the log of what arrived.",
  "Voltar ao telefone": "Back to the phone", "Zerar tudo": "Reset all", "Aplicar": "Apply",
  "Voltar aos padrões": "Back to the defaults", "Modelos": "Templates", "Idioma": "Language",
  "Categoria": "Category", "Situação": "Status", "Qualidade": "Quality", "Últimos envios": "Last sends",
  "Hora": "Time", "Para": "To", "Tipo": "Kind", "Resultado": "Result", "Identificador": "Callback id",
  "Nenhum envio ainda.": "Nothing sent yet.", "Aprovado": "Approved", "Em análise": "Pending",
  "Rejeitado": "Rejected", "Pausado": "Paused", "Desativado": "Disabled", "Em recurso": "In appeal",
  "Em exclusão": "Pending deletion", "Limite excedido": "Limit exceeded", "Arquivado": "Archived",
  "Marketing": "Marketing", "Utilidade": "Utility", "Autenticação": "Authentication",
  "Alta": "High", "Média": "Medium", "Baixa": "Low", "Sem nota": "Not rated",
  "Texto": "Text", "Interativa": "Interactive", "Modelo": "Template", "Local": "Location", "Reação": "Reaction",
  "Leitura": "Read receipt", "Aceitas": "Accepted", "Recusadas": "Refused", "Destinatários": "Recipients",
  "Máximo por pessoa": "Most for one person", "Repetidas": "Repeated", "Webhooks entregues": "Webhooks delivered",
  "Pendentes": "Pending", "Alcançadas em 24 h": "Reached in 24 h", "Aceita": "Accepted", "Recusada": "Refused",
  "Aplicado.": "Applied.", "Não foi aplicado:": "Not applied:", "Feito.": "Done.",
  "Preencha todos os campos com números.": "Fill in every field with a number.",
  "Apagar conversas, registro e ajustes do simulador?": "Erase the simulator's conversations, log and settings?",
  "Acontecimentos": "Events", "O que acontece": "What happens", "Número da pessoa": "The person's number",
  "Outro valor": "Other value", "Acontecer": "Let it happen",
  "Troca de número (o novo em “outro valor”)": "Number changed (the new one as “other value”)",
  "Troca de id de usuário": "User id changed", "Troca de código de segurança": "Security code changed",
  "Para de receber marketing": "Stops marketing", "Volta a receber marketing": "Resumes marketing",
  "Erro sem mensagem (código em “outro valor”)": "Error without a message (code as “other value”)",
  "Conta:": "Account:", "Relógio, interrupção e roteiro": "Clock, outage and script",
  "Adiantar o relógio (horas)": "Set the clock forward (hours)", "Adiantar": "Set forward",
  "Interromper webhooks (segundos)": "Webhook outage (seconds)", "Interromper": "Begin outage",
  "Destinos dos próximos envios a um número, separados por espaço: ok, 131056, failed:131026, reset_after_accept…":
    "Fates of the next sends to a number, with spaces between: ok, 131056, failed:131026, reset_after_accept…",
  "Destinos": "Fates", "Guardar roteiro": "Keep the script", "Adiantado:": "Set forward by:",
  // settings
  "Situação das mensagens": "Statuses of messages", "Avisar situações": "Tell statuses",
  "Enviada: mínimo (s)": "Sent: least (s)", "Enviada: máximo (s)": "Sent: most (s)",
  "Entregue: mínimo (s)": "Delivered: least (s)", "Entregue: máximo (s)": "Delivered: most (s)",
  "Lida: mínimo (s)": "Read: least (s)", "Lida: máximo (s)": "Read: most (s)", "Parte lida (0 a 1)": "Share read (0 to 1)",
  "Atraso dos avisos (ms)": "Statuses late by (ms)", "Falhas no envio (parte, de 0 a 1)": "Faults of sends (share, 0 to 1)",
  "Conexão cai antes de aceitar": "Reset before accepting", "Erro 500 antes de aceitar": "Error 500 before accepting",
  "502 em HTML antes de aceitar": "HTML 502 before accepting", "429 sem Graph": "429 without Graph",
  "Não aceita, e não responde": "Not accepted, and silence",
  "Recusa com o código": "Refused with the code", "Código da recusa": "Code of the refusal",
  "Aceita, e a conexão cai": "Accepted, then reset", "Aceita, e responde 502 em HTML": "Accepted, then HTML 502",
  "Aceita, com resposta ilegível": "Accepted, answer unreadable", "Aceita, e não responde": "Accepted, then silence",
  "Silêncio dura (s)": "Silence lasts (s)", "Lentidão (ms)": "Latency (ms)", "Variação da lentidão (ms)": "Jitter (ms)",
  "Falhas nos avisos (parte, de 0 a 1)": "Faults of statuses (share, 0 to 1)",
  "Segurar todos os webhooks": "Hold all webhooks",
  "Verificar antes de entregar": "Verify before delivering", "Avisos em dobro": "Statuses twice",
  "POSTs em dobro": "POSTs twice", "Avisos fora de ordem": "Statuses out of order",
  "Sem o aviso de entregue": "No delivered status", "Pessoas sem WhatsApp (131026)": "People without WhatsApp (131026)",
  "Falham depois com o código": "Fail later with the code", "Código da falha": "Code of the failure",
  "Falha traz contacts": "Failure has contacts", "Entrega de webhooks": "Delivery of webhooks",
  "Juntar durante (ms)": "Collect for (ms)", "Avisos por POST": "Updates per POST", "POSTs simultâneos": "POSTs at once",
  "Prazo da resposta (s)": "Time-out of the answer (s)", "Primeira repetição (s)": "First repetition (s)",
  "Maior intervalo (s)": "Longest gap (s)", "Desistir após (s)": "Give up after (s)",
  "Mensagens junto aos avisos": "Messages among statuses", "Mensagens atrasadas (ms)": "Messages late by (ms)",
  "Regras da Meta": "Meta's rules", "Janela de atendimento": "Service window", "Duração da janela (s)": "Window lasts (s)",
  "131047 já na resposta": "131047 in the answer", "Envios por segundo (0 = livre)": "Sends a second (0 = free)",
  "Pessoas por dia (0 = livre)": "People a day (0 = free)", "Limite por pessoa": "Limit per person",
  "Intervalo por pessoa (s)": "Gap per person (s)", "Rajada por pessoa": "Burst per person",
  "Sem o nono dígito, DDD 31+": "No ninth digit, DDD 31+", "Pessoas sem número visível": "People who hide their number",
  "Chamadas de gestão por hora": "Management calls an hour", "Números mágicos": "Magic numbers",
  "Modelos e arquivos": "Templates and files", "Modelos retidos (parte)": "Templates held (share)",
  "Retenção dura (s)": "Held for (s)", "Retidos que caem (parte)": "Held ones dropped (share)",
  "Análise dura (s)": "Review lasts (s)", "Rejeitados na análise (parte)": "Rejected in review (share)",
  "Endereço de arquivo vale (s)": "A file's address lives (s)", "Arquivo vale (s)": "A file lives (s)",
  "sha256 errado": "Wrong sha256", "Simulação": "Simulation", "Semente": "Seed", "Envios guardados": "Sends kept",
};

const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("lang");
export const language = asked === "en" ? "en" : "pt";
export const locale = language === "en" ? "en" : "pt-BR";
localStorage.setItem("lang", language);

/** Return the text in the chosen language, unchanged if the table lacks it. */
export function t(text) {
  return language === "en" ? (ENGLISH[text] ?? text) : text;
}

/** Translate the static texts of the page. */
export function translatePage() {
  document.documentElement.lang = locale;
  document.title = t(document.title);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim();
    if (text) walker.currentNode.data = walker.currentNode.data.replace(text, t(text));
  }
  for (const attribute of ["placeholder", "aria-label"]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(attribute)));
    }
  }
  for (const link of document.querySelectorAll("[data-other-language]")) {
    const query = new URLSearchParams(location.search);
    query.set("lang", language === "en" ? "pt" : "en");
    link.href = `?${query}`;
  }
}
