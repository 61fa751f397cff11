/* The relay's URBs: a table made once, lists through it, and lookup by seqnum. */
#include <stdlib.h>
#include <string.h>

#include "relay_inside.h"

bool urbs_make(struct urb_table *table)
{
    memset(table, 0, sizeof *table);
    table->urbs = calloc(RELAY_URBS, sizeof *table->urbs);
    if (table->urbs == NULL)
        return false;
    list_clear(&table->free);
    list_clear(&table->late);
    for (uint16_t index = 0; index < RELAY_URBS; index++) {
        table->urbs[index].own_index = index;
        list_add(table, &table->free, &table->urbs[index]);
    }
    return true;
}

void urbs_free(struct urb_table *table)
{
    free(table->urbs);
    table->urbs = NULL;
}

struct relay_urb *urbs_at(struct urb_table *table, uint16_t index)
{
    return index < RELAY_URBS ? &table->urbs[index] : NULL;
}

uint32_t urbs_available(const struct urb_table *table)
{
    return table->free.count + table->late.count;
}

struct relay_urb *urbs_take(struct urb_table *table, enum relay_urb_kind kind)
{
    struct urb_list *list = table->free.count ? &table->free : &table->late;
    struct relay_urb *urb = urbs_at(table, list->first);
    uint16_t index;

    if (urb == NULL) /* whoever takes one has asked `urbs_available` */
        return NULL;
    index = urb->own_index;
    list_remove(table, list, urb);
    memset(urb, 0, sizeof *urb);
    urb->own_index = index;
    urb->previous = urb->next = NO_URB;
    urb->kind = (uint8_t)kind;
    urb->storage = NO_STORAGE;
    table->generation++;
    urb->seqnum = table->generation * RELAY_URBS | index;
    if (urb->seqnum == 0) { /* the kernel's own never are */
        table->generation++;
        urb->seqnum = table->generation * RELAY_URBS | index;
    }
    return urb;
}

void urbs_give(struct urb_table *table, struct relay_urb *urb)
{
    urb->kind = URB_FREE;
    list_add(table, &table->free, urb);
}

void urbs_give_later(struct urb_table *table, struct relay_urb *urb)
{
    urb->kind = URB_LATE;
    list_add(table, &table->late, urb);
    if (table->late.count > LATE_URBS) {
        struct relay_urb *oldest = &table->urbs[table->late.first];

        list_remove(table, &table->late, oldest);
        urbs_give(table, oldest);
    }
}

struct relay_urb *urbs_by_seqnum(struct urb_table *table, uint32_t seqnum)
{
    struct relay_urb *urb = &table->urbs[seqnum % RELAY_URBS];

    return urb->kind != URB_FREE && urb->seqnum == seqnum ? urb : NULL;
}

struct relay_urb *urbs_of_host(struct urb_table *table, uint32_t host_seqnum)
{
    for (uint32_t index = 0; index < RELAY_URBS; index++) {
        struct relay_urb *urb = &table->urbs[index];

        if ((urb->kind == URB_HOST || urb->kind == URB_WAITING) && urb->host_seqnum == host_seqnum)
            return urb;
    }
    return NULL;
}

void list_clear(struct urb_list *list)
{
    list->first = list->last = NO_URB;
    list->count = 0;
}

void list_add(struct urb_table *table, struct urb_list *list, struct relay_urb *urb)
{
    urb->next = NO_URB;
    urb->previous = list->last;
    if (list->last == NO_URB)
        list->first = urb->own_index;
    else
        table->urbs[list->last].next = urb->own_index;
    list->last = urb->own_index;
    list->count++;
}

void list_remove(struct urb_table *table, struct urb_list *list, struct relay_urb *urb)
{
    if (urb->previous == NO_URB)
        list->first = urb->next;
    else
        table->urbs[urb->previous].next = urb->next;
    if (urb->next == NO_URB)
        list->last = urb->previous;
    else
        table->urbs[urb->next].previous = urb->previous;
    urb->previous = urb->next = NO_URB;
    list->count--;
}
