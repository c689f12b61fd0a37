"""Everyday words of other languages, each read as the English word of the project's vocabulary that it stands for.

Written by hand: German, French, Spanish, Italian, Portuguese and Dutch, in the forms in which requests and orders
use them. A word that is also an everyday English word stays English ("list", "die", "note", "are"), and so does one
that means something else in another of these languages.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_ABROAD: Final = {
    "save": "speichere speichern speichert abspeichern enregistre enregistrer enregistrez guarda guardar guarde salva"
    " salvare salve opslaan bewaar",
    "move": "verschiebe verschieben verschieb räum räume déplace déplacer déplacez mueve mover mueva sposta spostare"
    " verplaats verplaatsen",
    "mark": "markiere markieren markier marquer marquez marca marcar etiqueta",
    "record": "trage eintragen einzutragen trag vermerke vermerken notiere notieren inscris inscrire anota anotar"
    " annota registra registrar noteer",
    "compare": "vergleiche vergleichen vergleich compara comparar confronta vergelijk",
    "raise": "erhöhe erhöhen heb augmente augmenter aumenta aumentar alza alzalo verhoog",
    "send": "schick sende senden sendet schicke schicken schickt verschicke versende übersende"
    " übermittle envoie envoyer envoyez envoi transmettre transmets transmettez envía envíe"
    " envíen enviar envie enviarás envíale envíalo manda mandar invia inviare inviate invii"
    " spedisci mandami stuur sturen stuurt verstuur verzend",
    "forward": "weiterleiten leite weiterzuleiten transférer réexpédie réexpédier reenvía"
    " reenviar reenvíe inoltra inoltrare encaminhe encaminhar encaminha doorsturen",
    "reply": "antworte antworten beantworte beantworten réponds répondre répondez responde"
    " responder responda rispondi rispondere antwoord beantwoord antwoorden",
    "inform": "benachrichtige informiere informe informar informez informa avisa avise avisar melde",
    "pay": "zahle zahlen bezahle bezahlen begleiche begleichen paye payer payez payons règle"
    " régler réglez paga pague pagar paghi pagare pagate betaal betalen",
    "transfer": "überweise überweisen überweist überwiesen transfiere transferir transfiera"
    " transfira transferisci trasferisci trasferire bonifica overmaken vire virer virez verser"
    " versez",
    "buy": "kaufe kaufen achète acheter achetez compra comprar compre acquista acquistare"
    " comprare koop kopen",
    "sell": "verkaufe verkaufen vends vendre vendez vende vender venda vendi vendere verkoop verkopen",
    "order": "bestelle bestellen bestellt commande commandez ordina ordinare encomende encomendar bestel",
    "book": "buche buchen reserviere reservieren réserve réserver réservez reserva reservar"
    " prenota prenotare boek boeken reserveer reserveren",
    "delete": "lösche löschen löscht gelöscht entferne entfernen supprime supprimer supprimez"
    " efface effacer effacez borra borre borrar elimina elimine eliminar elimini eliminare"
    " cancella cancellare cancelli apaga apague apagar exclua excluir verwijder verwijderen wis"
    " wissen",
    "cancel": "storniere stornieren kündige kündigen annule annuler annulez cancela cancele"
    " cancelar annulla annullare annuleer annuleren",
    "change": "ändere ändern ändert geändert modifie modifiez changez changer cambia cambie"
    " cambiar cambiare cambi modifica modificare modifique modificar altere alterar mude mudar"
    " wijzig wijzigen verander veranderen",
    "update": "aktualisiere aktualisieren actualiser actualiza actualice actualizar aggiorna"
    " aggiornare atualize atualizar atualiza bijwerken",
    "create": "erstelle erstellen erstellt lege anlegen crée créer créez crea crear creare crie"
    " criar maken aanmaken",
    "add": "füge hinzufügen hinzuzufügen ajoute ajouter ajoutez añade añada añadir agrega"
    " agregue agregar aggiungi aggiungere aggiunga adicione adicionar acrescente toevoegen",
    "invite": "invita invitare invitez inviter einladen einzuladen convida convidar invitar uitnodigen",
    "write": "schreib schreibe schreiben écris écrire écrivez escribe escriba escribir scrivi scrivere"
    " escreva escrever schrijf schrijven",
    "share": "teile teilen freigeben partage partager partagez comparte comparta compartir"
    " condividi condividere condivida compartilhe compartilhar partilhe partilhar delen",
    "publish": "veröffentliche veröffentlichen publie publier publiez publica publique publicar"
    " pubblica pubblicare publiceer publiceren",
    "upload": "hochladen hochzuladen lade téléverse téléverser téléversez sube suba subir"
    " carica caricare carregue carregar uploaden",
    "export": "exportiere exportieren exporter exportez exporta exportar esporta esportare exporteer",
    "grant": "erteile erteilen gewähre gewähren accorde accorder accordez conceda conceder"
    " concedi concedere verleen verlenen",
    "enable": "aktiviere aktivieren freischalten freizuschalten activer activez activa activar"
    " attiva attivare ative ativar activeer activeren inschakelen",
    "disable": "deaktiviere deaktivieren abschalten abzuschalten désactive désactiver"
    " désactivez desactiva desactive desactivar disattiva disattivare desative desativar"
    " uitschakelen deactiveer",
    "approve": "genehmige genehmigen bestätige bestätigen approuve approuver approuvez aprueba"
    " apruebe aprobar approva approvare aprove aprovar goedkeuren",
    "install": "installiere installieren installe installez instala instale instalar installa"
    " installare installeer installeren",
    "execute": "führe ausführen auszuführen exécute exécuter exécutez ejecuta ejecute ejecutar"
    " esegui eseguire executar uitvoeren",
    "open": "öffne öffnen ouvre ouvrir ouvrez abre abra abrir apri aprire apra openen",
    "read": "lies lis lesen lese lire lisez leggi leggere leia ler lees lezen",
    "show": "zeige zeigen zeig montre montrer montrez muestra muestre mostrar mostra mostre"
    " mostrare toon tonen",
    "find": "finde finden suche such suchen trouve trouver trouvez cherche chercher cherchez"
    " encuentra busca busque buscar trova trovare cerca cercare encontre procurar vind vinden"
    " zoek zoeken",
    "check": "prüfe prüf prüfen überprüfe überprüfen vérifie vérifier vérifiez verifica verifique"
    " verificar controlla controllare controleer controleren",
    "summarise": "fasse zusammenfassen zusammen résume résumer résumez resuma resumir riassumi"
    " riassumere samenvatten",
    "translate": "übersetze übersetzen traduis traduire traduisez traduce traduzca traducir"
    " traduci tradurre traduza traduzir vertaal vertalen",
    "call": "anrufen aufrufen appelle appeler appelez llama llame llamar chiama chiamare ligue chame chamar",
    "use": "benutze benutzen verwende verwenden utiliser utilisez utiliza utilice utilizar"
    " utilizza utilizzare gebruik gebruiken",
    "ignore": "ignoriere ignorieren ignorez ignora ignorar ignori negeer negeren vergiss oublie"
    " oubliez olvida olvide dimentica esqueça vergeet",
    "must": "muss musst müssen soll sollst sollen sollte doit doivent dois devez debe deben"
    " debes deve devono devi devem deves moet moeten dient zorg",
    "required": "nötig notwendig erforderlich verpflichtend nécessaire obligatoire necesario"
    " necesaria obligatorio necessario necessaria obbligatorio obrigatório necessário nodig"
    " verplicht faut",
    "please": "bitte veuillez prego alstublieft graag gelieve svp",
    "now": "jetzt sofort désormais maintenant ahora inmediatamente adesso agora imediatamente"
    " voortaan immédiatement umgehend onmiddellijk",
    "assistant": "assistent assistenten asistente assistente assistentin",
    "task": "aufgabe tâche tarea compito tarefa taak",
    "before": "bevor antes prima voordat",
    "account": "konto konten compte comptes cuenta cuentas conto conta contas rekening kontonummer zugang",
    "invoice": "rechnung rechnungen facture factures factura facturas fattura fatture fatura faturas factuur",
    "money": "geld argent dinero denaro soldi dinheiro betrag montant importe",
    "email": "courriel courriels correo correos",
    "message": "nachricht nachrichten mensaje mensajes messaggio messaggi mensagem mensagens"
    " bericht berichten",
    "file": "datei dateien fichier fichiers archivo archivos arquivo arquivos bestand bestanden ficheiro",
    "folder": "ordner dossiers carpeta carpetas cartella",
    "contract": "vertrag verträge contrat contrats contrato contratos contratto contratti",
    "customer": "kunde kunden cliente clientes clienti klant klanten",
    "password": "passwort kennwort contraseña contraseñas senha senhas wachtwoord wachtwoorden",
    "calendar": "kalender calendrier calendario calendário",
    "meeting": "termin termine treffen besprechung réunion réunions reunión reuniones riunione"
    " riunioni reunião reuniões vergadering afspraak",
    "contact": "kontakt kontakte contacto contactos contatto contatti contato contatos",
    "ticket": "vorgang billet billets biglietto biglietti bilhete",
    "list": "liste lista listas elenco lijst",
    "user": "benutzer nutzer utilisateur utilisateurs usuario usuarios utente utenti usuário"
    " usuários gebruiker",
    "website": "webseite",
    "database": "datenbank datenbanken",
    "document": "dokument dokumente documento documentos documenti documenten",
    "price": "preis preise prix precio precios prezzo prezzi preço preços prijs",
    "flight": "flug flüge vuelo vuelos volo voli voo vlucht vluchten",
    "hotel": "unterkunft hôtel",
    "report": "relatório rapporto",
}
ENGLISH_OF: Final = MappingProxyType(
    {word: english for english, listed in _ABROAD.items() for word in listed.split()}
)
# Pronouns that Spanish, Portuguese and Italian hang on a verb: "envíamelo" is "envía".
_CLITICS: Final = (
    "melo", "mela", "melos", "melas", "selo", "sela", "los", "las", "les", "nos", "lo", "la", "le", "li", "me", "mi",
    "ci", "gli", "celo", "cela", "glielo", "gliela",
)  # fmt: skip
_PLAIN: Final = str.maketrans("áéíóú", "aeiou")
CLITIC_LETTERS = 4  # of the verb, at least


def english(word: str) -> str:
    """The English word that a word in lower case stands for, or the word itself."""
    found = ENGLISH_OF.get(word)
    if found is not None:
        return found
    for ending in _CLITICS:
        stem = word.removesuffix(ending)
        if len(stem) < len(word) and len(stem) >= CLITIC_LETTERS:
            found = ENGLISH_OF.get(stem) or ENGLISH_OF.get(stem.translate(_PLAIN))
            if found is not None:
                return found
    return word
